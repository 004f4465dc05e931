"""What a client can ask a server about itself, synchronous and asyncio side by side.

`TalkingHeadClient` and `AsyncTalkingHeadClient` build on these two.
"""

import asyncio
import contextlib
import functools
import time
from collections.abc import Iterable, Iterator

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.client import messages, signatures
from serving.client.channels import MAX_RETRIES, TlsOptions, connection
from serving.client.frame_requests import DEFAULT_MODEL
from serving.client.messages import TalkingHeadError, VersionStatus
from tf_talking.people.card import PersonCard

_POLL_SECONDS = 0.1


class _Stubs:
    """The services' methods on one channel; see `TalkingHeadClient` for the arguments."""

    def __init__(
        self,
        target: str,
        timeout: float = 30.0,
        max_message_bytes: int = 256 * 2**20,
        max_in_flight: int = 4,
        tls: TlsOptions | None = None,
        retries: int = MAX_RETRIES,
    ):
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight: got {max_in_flight}, expected at least 1")
        self.target = target
        self._timeout = timeout
        self._max_in_flight = max_in_flight
        self._channel = self._open(connection(target, tls, retries, max_message_bytes))
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise messages.failed(what, self.target, error) from error

    def _checks(self, models: Iterable[str]):
        """What `wait_until_ready` looks at: (what, how to look, whether what is seen is good)."""
        for model in models:
            look = functools.partial(self.model_status, model)
            yield f"model {model}", look, messages.has_available
        yield "health", self.healthy, lambda seen: seen is None or seen is True


class StatusClient(_Stubs):
    """Synchronous. Safe to share between threads."""

    def _open(self, where):
        return where.open()

    def close(self) -> None:
        """Closes the connection; calls under way are cancelled."""
        self._channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def model_status(self, model: str, timeout: float | None = None) -> list[VersionStatus]:
        """States of a model's versions, newest first."""
        request = messages.status_request(model)
        with self._errors(f"status of model {model}"):
            response = self._model.GetModelStatus(request, timeout=timeout or self._timeout)
        return messages.read_status(response)

    def metadata(self, model: str) -> dict[str, signatures.Signature]:
        """Signatures of the newest available version."""
        request = messages.metadata_request(model)
        with self._errors(f"metadata of model {model}"):
            response = self._prediction.GetModelMetadata(request, timeout=self._timeout)
        return signatures.from_metadata(response)

    def healthy(self, timeout: float | None = None) -> bool | None:
        """Whether gRPC's health service says SERVING; None where there is none (TF Serving)."""
        request = health_pb2.HealthCheckRequest()
        try:
            with self._errors("health"):
                answer = self._health.Check(request, timeout=timeout or self._timeout)
        except TalkingHeadError as error:
            return messages.read_health(error)
        return messages.read_health(answer)

    def wait_until_ready(
        self, models: Iterable[str] = (DEFAULT_MODEL,), timeout: float = 60.0
    ) -> None:
        """Returns when every model has an available version and health does not say no.

        With several servers: on one of them.

        Raises:
          TalkingHeadError: DEADLINE_EXCEEDED after `timeout` seconds, with what was seen last;
            at once for an error that waiting does not cure.
        """
        waiting = messages.Waiting(self.target, timeout)
        for what, look, is_good in self._checks(models):
            while True:
                try:
                    seen = look(waiting.deadline(self._timeout))
                except TalkingHeadError as error:
                    seen = error
                if is_good(seen):
                    break
                waiting.saw(what, seen)
                time.sleep(_POLL_SECONDS)

    def check_card(self, card: PersonCard, model: str | None = None) -> None:
        """Raises CardMismatchError unless the card fits the server's model.

        Args:
          card: the person.
          model: the model to be used; the card's own one by default.
        """
        model = model or card.model
        signatures.check_card(card, model, self.target, self.metadata(model))


class AsyncStatusClient(_Stubs):
    """For one asyncio event loop; the same methods as `StatusClient`, awaited."""

    def _open(self, where):
        return where.open_async()

    async def close(self) -> None:
        """Closes the connection; calls under way are cancelled."""
        await self._channel.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_) -> None:
        await self.close()

    async def model_status(self, model: str, timeout: float | None = None) -> list[VersionStatus]:
        """See `StatusClient`."""
        request = messages.status_request(model)
        with self._errors(f"status of model {model}"):
            response = await self._model.GetModelStatus(request, timeout=timeout or self._timeout)
        return messages.read_status(response)

    async def metadata(self, model: str) -> dict[str, signatures.Signature]:
        """See `StatusClient`."""
        request = messages.metadata_request(model)
        with self._errors(f"metadata of model {model}"):
            response = await self._prediction.GetModelMetadata(request, timeout=self._timeout)
        return signatures.from_metadata(response)

    async def healthy(self, timeout: float | None = None) -> bool | None:
        """See `StatusClient`."""
        request = health_pb2.HealthCheckRequest()
        try:
            with self._errors("health"):
                answer = await self._health.Check(request, timeout=timeout or self._timeout)
        except TalkingHeadError as error:
            return messages.read_health(error)
        return messages.read_health(answer)

    async def wait_until_ready(
        self, models: Iterable[str] = (DEFAULT_MODEL,), timeout: float = 60.0
    ) -> None:
        """See `StatusClient`."""
        waiting = messages.Waiting(self.target, timeout)
        for what, look, is_good in self._checks(models):
            while True:
                try:
                    seen = await look(waiting.deadline(self._timeout))
                except TalkingHeadError as error:
                    seen = error
                if is_good(seen):
                    break
                waiting.saw(what, seen)
                await asyncio.sleep(_POLL_SECONDS)

    async def check_card(self, card: PersonCard, model: str | None = None) -> None:
        """See `StatusClient`."""
        model = model or card.model
        signatures.check_card(card, model, self.target, await self.metadata(model))
