"""What both clients have in common: the connection, the services' methods on it, their errors."""

import contextlib
import functools
from collections.abc import Iterable, Iterator

import grpc
from google.protobuf.message import Message

from serving.client import messages
from serving.client.channels import MAX_RETRIES, TlsOptions, connection
from serving.protocol import api

POLL_SECONDS = 0.1  # between looks of `wait_until_ready`
PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
GET_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
CHECK_HEALTH = "/grpc.health.v1.Health/Check"


def method_of(channel: grpc.Channel | grpc.aio.Channel, path: str, answer: type[Message]):
    """The method of a service, blocking or asyncio's as the channel is."""
    return channel.unary_unary(path, lambda message: message.SerializeToString(), answer.FromString)


class Stubs:
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
        method = functools.partial(method_of, self._channel)
        self._predict = method(PREDICT, api.PredictResponse)
        self._get_metadata = method(GET_METADATA, api.GetModelMetadataResponse)
        self._get_status = method(GET_STATUS, api.GetModelStatusResponse)
        self._check_health = method(CHECK_HEALTH, api.HealthCheckResponse)

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
