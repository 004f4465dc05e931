"""Client of a talking-head server: TensorFlow Serving or the embedded one.

    with TalkingHeadClient("localhost:8500") as client:
        client.wait_until_ready()
        embedding, adain_params = client.embed(frames, landmarks)
        for frame in client.animate(landmark_track, card):   # RGB uint8 [S, S, 3], in order
            ...

Conventions: frames RGB uint8, landmarks float32 [N, P, 2], (x, y) in pixels of the S×S frame.
Several requests are in flight at a time; results come back in order. Every call has a deadline;
every refusal is a `TalkingHeadError` with gRPC's status code.
"""

import collections
import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator

import cv2
import grpc
import numpy as np
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving import signatures, tensors
from serving.signatures import CardMismatchError, Signature, TensorSpec
from tf_talking.person_card import PersonCard

__all__ = [
    "CardMismatchError",
    "Signature",
    "TalkingHeadClient",
    "TalkingHeadError",
    "TensorSpec",
    "VersionStatus",
]

_DEFAULT_MODEL = "generator"
_RETRIED_WHILE_WAITING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND)


class TalkingHeadError(RuntimeError):
    """A call failed. `code` is gRPC's status code, `details` the server's message."""

    def __init__(self, what: str, code: grpc.StatusCode, details: str):
        super().__init__(f"{what}: {code.name}: {details}")
        self.code = code
        self.details = details


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """State of one version: START, LOADING, AVAILABLE, UNLOADING or END, and its error."""

    version: int
    state: str
    error_code: int
    error_message: str


class TalkingHeadClient:
    """Speaks to one server. Safe to share between threads.

    Args:
      target: HOST:PORT, or any gRPC target.
      timeout: deadline of one request in seconds.
      max_message_bytes: largest message in either direction. (gRPC's own limit is 4 MB.)
      max_in_flight: requests that `animate` and its like keep under way.
    """

    def __init__(
        self,
        target: str,
        timeout: float = 30.0,
        max_message_bytes: int = 256 * 2**20,
        max_in_flight: int = 4,
    ):
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight: got {max_in_flight}, expected at least 1")
        self.target = target
        self._timeout = timeout
        self._max_in_flight = max_in_flight
        self._channel = grpc.insecure_channel(
            target,
            options=[
                ("grpc.max_send_message_length", max_message_bytes),
                ("grpc.max_receive_message_length", max_message_bytes),
            ],
        )
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def close(self) -> None:
        """Closes the connection; calls under way are cancelled."""
        self._channel.close()

    def __enter__(self) -> "TalkingHeadClient":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # What the server serves.

    def model_status(self, model: str) -> list[VersionStatus]:
        """States of a model's versions, newest first."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        with self._errors(f"status of model {model}"):
            response = self._model.GetModelStatus(request, timeout=self._timeout)
        name = get_model_status_pb2.ModelVersionStatus.State.Name
        states = [
            VersionStatus(
                entry.version,
                name(entry.state),
                entry.status.error_code,
                entry.status.error_message,
            )
            for entry in response.model_version_status
        ]
        return sorted(states, key=lambda status: -status.version)

    def metadata(self, model: str) -> dict[str, signatures.Signature]:
        """Signatures of the newest available version."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = model
        with self._errors(f"metadata of model {model}"):
            response = self._prediction.GetModelMetadata(request, timeout=self._timeout)
        return signatures.from_metadata(response)

    def wait_until_ready(
        self, models: Iterable[str] = (_DEFAULT_MODEL,), timeout: float = 60.0
    ) -> None:
        """Returns when every model has an available version.

        Raises:
          TalkingHeadError: DEADLINE_EXCEEDED after `timeout` seconds, with what was seen last;
            at once for an error that waiting does not cure.
        """
        end = time.monotonic() + timeout
        for model in models:
            while True:
                try:
                    seen = self.model_status(model)
                except TalkingHeadError as error:
                    if error.code not in _RETRIED_WHILE_WAITING:
                        raise
                    seen = error
                else:
                    if any(status.state == "AVAILABLE" for status in seen):
                        break
                if time.monotonic() > end:
                    raise TalkingHeadError(
                        f"model {model} at {self.target}",
                        grpc.StatusCode.DEADLINE_EXCEEDED,
                        f"not available within {timeout:g} s; last seen: {seen}",
                    )
                time.sleep(0.1)

    def check_card(self, card: PersonCard, model: str | None = None) -> None:
        """Raises CardMismatchError unless the card fits the server's model.

        Args:
          card: the person.
          model: the model to be used; the card's own one by default.
        """
        model = model or card.model
        signatures.check_card(card, model, self.target, self.metadata(model))

    # Inference.

    def embed(
        self, frames: np.ndarray, landmarks: np.ndarray, model: str = "embedder"
    ) -> tuple[np.ndarray, np.ndarray]:
        """ê and ψ̂ of a person.

        Args:
          frames: uint8 [K, S, S, 3], K frames of one person; or [B, K, S, S, 3] of B people.
          landmarks: float32 [K, P, 2] or [B, K, P, 2].
          model: name of the served embedder.

        Returns:
          embedding float32 [N] and adain_params float32 [L], or [B, N] and [B, L].
        """
        frames = np.asarray(frames)
        landmarks = np.asarray(landmarks, np.float32)
        if frames.dtype != np.uint8 or frames.ndim not in (4, 5):
            raise ValueError(
                f"frames: got {frames.dtype} {list(frames.shape)}, "
                "expected uint8 [K, S, S, 3] or [B, K, S, S, 3]"
            )
        if landmarks.ndim != frames.ndim - 1 or landmarks.shape[:-2] != frames.shape[:-3]:
            raise ValueError(
                f"landmarks: got {list(landmarks.shape)} for frames {list(frames.shape)}, "
                "expected a row of points for every frame"
            )
        single = frames.ndim == 4
        if single:
            frames, landmarks = frames[None], landmarks[None]
        request = _request(model, "", {"frames": frames, "landmarks": landmarks})
        with self._errors(f"embed by model {model}"):
            response = self._prediction.Predict(request, timeout=self._timeout)
        embedding, adain_params = (
            _output(response, name, model) for name in ("embedding", "adain_params")
        )
        return (embedding[0], adain_params[0]) if single else (embedding, adain_params)

    def animate(
        self,
        landmarks: Iterable[np.ndarray],
        person: PersonCard | np.ndarray,
        model: str | None = None,
        batch_size: int = 1,
    ) -> Iterator[np.ndarray]:
        """Frames of the person, RGB uint8 [S, S, 3], one for each landmark set, in order.

        Args:
          landmarks: float [N, P, 2], or an iterable of [P, 2], which is read as frames are
            needed.
          person: a person card, or ψ, float32 [L].
          model: the served generator; by default the card's own, for a bare ψ `generator`.
          batch_size: landmark sets in one request.

        Raises:
          CardMismatchError, ValueError: before anything is sent.
          TalkingHeadError: the frames before the failing one have been yielded.
        """
        for data in self.animate_jpeg(landmarks, person, model, batch_size):
            frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if frame is None:
                raise TalkingHeadError(
                    "animate", grpc.StatusCode.DATA_LOSS, "the server's frame is no JPEG"
                )
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def animate_jpeg(
        self,
        landmarks: Iterable[np.ndarray],
        person: PersonCard | np.ndarray,
        model: str | None = None,
        batch_size: int = 1,
    ) -> Iterator[bytes]:
        """Like `animate`, but yields the JPEG files as the server encoded them."""
        model, adain_params, known = self._person(person, model)
        shape = signatures.row_shape(known, "animate", "landmarks", model)
        rows = (
            signatures.checked(row, f"landmarks of frame {index}", np.float32, shape)
            for index, row in enumerate(landmarks)
        )
        ask = self._asker(model, "animate", "landmarks", adain_params)
        return self._pipeline(rows, ask, "frames_jpeg", model, batch_size)

    def render(
        self,
        landmark_images: Iterable[np.ndarray],
        person: PersonCard | np.ndarray,
        model: str | None = None,
        batch_size: int = 1,
    ) -> Iterator[np.ndarray]:
        """Like `animate`, from drawn landmark images uint8 [S, S, 3]; frames are not encoded."""
        model, adain_params, known = self._person(person, model)
        key = "serving_default"
        shape = signatures.row_shape(known, key, "landmark_images", model)
        rows = (
            signatures.checked(row, f"landmark_images of frame {index}", np.uint8, shape)
            for index, row in enumerate(landmark_images)
        )
        ask = self._asker(model, key, "landmark_images", adain_params)
        return self._pipeline(rows, ask, "frames", model, batch_size)

    # Below: how.

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise TalkingHeadError(
                f"{what} at {self.target}", error.code(), error.details()
            ) from error

    def _person(self, person: PersonCard | np.ndarray, model: str | None):
        """Model name, ψ and the model's signatures, checked against each other."""
        if isinstance(person, PersonCard):
            model = model or person.model
            known = self.metadata(model)
            signatures.check_card(person, model, self.target, known)
            return model, person.adain_params, known
        model = model or _DEFAULT_MODEL
        known = self.metadata(model)
        size = signatures.adain_size(known, model)
        return model, signatures.checked(person, "adain_params", np.float32, (size,)), known

    def _asker(
        self, model: str, key: str, name: str, adain_params: np.ndarray
    ) -> Callable[[list[np.ndarray]], grpc.Future]:
        def ask(rows: list[np.ndarray]) -> grpc.Future:
            repeated = np.broadcast_to(adain_params, (len(rows), adain_params.size))
            inputs = {name: np.stack(rows), "adain_params": repeated}
            request = _request(model, key, inputs)
            return self._prediction.Predict.future(request, timeout=self._timeout)

        return ask

    def _pipeline(self, rows: Iterator[np.ndarray], ask, output: str, model: str, size: int):
        """Yields the rows' results in order, `max_in_flight` requests under way."""
        if size < 1:
            raise ValueError(f"batch_size: got {size}, expected at least 1")
        pending: collections.deque[grpc.Future] = collections.deque()
        done = 0
        try:
            while True:
                while len(pending) < self._max_in_flight:
                    batch = list(itertools.islice(rows, size))
                    if not batch:
                        break
                    pending.append(ask(batch))
                if not pending:
                    return
                with self._errors(f"frame {done} by model {model}"):
                    response = pending.popleft().result()
                results = _output(response, output, model)
                yield from results
                done += len(results)
        finally:
            for future in pending:
                future.cancel()


def _request(model: str, key: str, inputs: dict[str, np.ndarray]) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = key
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tensors.encode(value))
    return request


def _output(response: predict_pb2.PredictResponse, name: str, model: str) -> np.ndarray:
    if name not in response.outputs:
        raise TalkingHeadError(
            f"model {model}",
            grpc.StatusCode.DATA_LOSS,
            f"no output {name!r} in the answer, found {sorted(response.outputs)}",
        )
    return tensors.decode(response.outputs[name])
