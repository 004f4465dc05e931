"""Client of a talking-head server: TensorFlow Serving or the embedded one.

    with TalkingHeadClient("localhost:8500") as client:
        client.wait_until_ready()
        embedding, adain_params = client.embed(frames, landmarks)
        for frame in client.animate(landmark_track, card):   # RGB uint8 [S, S, 3], in order
            ...

Conventions: frames RGB uint8, landmarks float32 [N, P, 2], (x, y) in pixels of the S×S frame.
Several requests are in flight at a time; results come back in order. Every call has a deadline;
every refusal is a `TalkingHeadError` with gRPC's status code. `AsyncTalkingHeadClient` has the
same for asyncio, and live streams.
"""

import collections
import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence

import grpc
import numpy as np

from serving.client import messages, signatures
from serving.client.channels import TlsOptions
from serving.client.frame_requests import DEFAULT_MODEL, Drawing, choice_of, drawing, other_versions
from serving.client.messages import ModelChoice, TalkingHeadError, VersionStatus
from serving.client.signatures import CardMismatchError, Served, Signature, TensorSpec
from serving.client.stubs import POLL_SECONDS, Stubs
from serving.protocol import api
from tf_talking.people.card import PersonCard

__all__ = [
    "CardMismatchError",
    "Signature",
    "TalkingHeadClient",
    "TalkingHeadError",
    "TensorSpec",
    "TlsOptions",
    "VersionStatus",
]


class TalkingHeadClient(Stubs):
    """Speaks to one server, or to several that serve the same. Safe to share between threads.

    Args:
      target: HOST:PORT, several with commas between them, dns:///SERVICE:PORT, or any gRPC
        target; see `serving.client.channels`.
      timeout: deadline of one request in seconds, its retries included.
      max_message_bytes: largest message in either direction.
      max_in_flight: requests that `animate` and its like keep under way.
      tls: how to speak TLS; None: plain text.
      retries: further attempts at a call that failed with UNAVAILABLE, 0 to 4.

    Raises:
      ValueError: names the argument or file that is wrong.
    """

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
            return messages.read_status(self._get_status(request, timeout=timeout or self._timeout))

    def metadata(self, model: str, *, version: int | None = None, label: str | None = None) -> dict[str, Signature]:
        """Signatures of a version, the newest available one by default."""
        return self.served(model, version=version, label=label).signatures

    def served(self, model: str, *, version: int | None = None, label: str | None = None) -> Served:
        """Signatures, number and fingerprint of a version, the newest available one by default."""
        return self._look(ModelChoice(model, version, label))

    def healthy(self, timeout: float | None = None) -> bool | None:
        """Whether gRPC's health service says SERVING; None where there is none (TF Serving)."""
        request = api.HealthCheckRequest()
        try:
            with self._errors("health"):
                answer = self._check_health(request, timeout=timeout or self._timeout)
        except TalkingHeadError as error:
            return messages.read_health(error)
        return messages.read_health(answer)

    def wait_until_ready(self, models: Iterable[str] = (DEFAULT_MODEL,), timeout: float = 60.0) -> None:
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
                time.sleep(POLL_SECONDS)

    def embed(
        self,
        frames: np.ndarray,
        landmarks: np.ndarray,
        model: str = "embedder",
        *,
        version: int | None = None,
        label: str | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """ê and ψ̂ of a person.

        Args:
          frames: uint8 [K, S, S, 3], K frames of one person; or [B, K, S, S, 3] of B people.
          landmarks: float32 [K, P, 2] or [B, K, P, 2].
          model: name of the served embedder.
          version, label: which version of it, by number or by label; by default the newest.

        Returns:
          embedding float32 [N] and adain_params float32 [L], or [B, N] and [B, L].
        """
        request, single = messages.embed_request(frames, landmarks, ModelChoice(model, version, label))
        return messages.read_embedding(self._answer(request, "embed"), model, single)

    def embed_jpeg(
        self,
        images: Sequence[bytes],
        landmarks: np.ndarray,
        model: str = "embedder",
        *,
        version: int | None = None,
        label: str | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """ê and ψ̂ of a person from whole photos; the server decodes and crops them.

        Args:
          images: K files, JPEG or PNG.
          landmarks: float32 [K, P, 2], in pixels of each photo.
          model: name of the served embedder.
          version, label: as for `embed`.

        Returns:
          embedding float32 [N] and adain_params float32 [L].
        """
        request = messages.embed_jpeg_request(images, landmarks, ModelChoice(model, version, label))
        return messages.read_embedding(self._answer(request, "embed_jpeg"), model, True)

    def animate(
        self,
        landmarks: Iterable[np.ndarray],
        person: PersonCard | np.ndarray,
        model: str | None = None,
        batch_size: int = 1,
        *,
        version: int | None = None,
        label: str | None = None,
    ) -> Iterator[np.ndarray]:
        """Frames of the person, RGB uint8 [S, S, 3], one for each landmark set, in order.

        Args:
          landmarks: float [N, P, 2], or an iterable of [P, 2], which is read as frames are
            needed.
          person: a person card, or ψ, float32 [L].
          model: the served generator; by default the card's own, for a bare ψ `generator`.
          batch_size: landmark sets in one request.
          version, label: which version of it, by number or by label. By default the newest, or,
            where the card does not fit that one, the newest that it fits.

        Raises:
          CardMismatchError: the card fits no version that is served, or not the one asked for;
            also when another model takes its place while frames are drawn.
          ValueError: before anything is sent.
          TalkingHeadError: the frames before the failing one have been yielded.
        """
        files = self.animate_jpeg(landmarks, person, model, batch_size, version=version, label=label)
        with contextlib.closing(files):
            yield from map(messages.read_jpeg, files)

    def animate_jpeg(
        self,
        landmarks: Iterable[np.ndarray],
        person: PersonCard | np.ndarray,
        model: str | None = None,
        batch_size: int = 1,
        *,
        version: int | None = None,
        label: str | None = None,
    ) -> Iterator[bytes]:
        """Like `animate`, but yields the JPEG files as the server encoded them."""
        what = self._drawing(person, choice_of(person, model, version, label))
        return self._draw(landmarks, what, batch_size)

    # Below: how.

    def _look(self, choice: ModelChoice) -> Served:
        with self._errors(f"metadata of {choice}"):
            response = self._get_metadata(messages.metadata_request(choice), timeout=self._timeout)
        return signatures.served(response)

    def _drawing(self, person: PersonCard | np.ndarray, choice: ModelChoice) -> Drawing:
        """The person and the version asked for, or else the newest that the card fits."""
        known = self._look(choice)
        try:
            return drawing(person, choice, known, self.target)
        except CardMismatchError:
            others = []
            if choice.is_free:
                with contextlib.suppress(TalkingHeadError):
                    others = other_versions(choice, known, self.model_status(choice.model))
            for other in others:
                with contextlib.suppress(CardMismatchError, TalkingHeadError):
                    return drawing(person, other, self._look(other), self.target)
            raise

    def _answer(self, request, what: str):
        with self._errors(f"{what} by model {request.model_spec.name}"):
            return self._predict(request, timeout=self._timeout)

    def _draw(self, rows: Iterable[np.ndarray], what: Drawing, size: int) -> Iterator:
        """Yields the rows' results in order, `max_in_flight` requests under way."""
        if size < 1:
            raise ValueError(f"batch_size: got {size}, expected at least 1")
        checked = (what.checked(row, index) for index, row in enumerate(rows))
        pending: collections.deque[grpc.Future] = collections.deque()
        done = 0
        try:
            while True:
                while len(pending) < self._max_in_flight:
                    batch = list(itertools.islice(checked, size))
                    if not batch:
                        break
                    request = what.request(batch)
                    pending.append(self._predict.future(request, timeout=self._timeout))
                if not pending:
                    return
                with self._errors(f"frame {done} by {what.choice}"):
                    response = pending.popleft().result()
                if other := what.unknown(response):  # a new version has taken over
                    what.check(self._look(other), self.target)
                results = what.read(response)
                yield from results
                done += len(results)
        finally:
            for future in pending:
                future.cancel()
