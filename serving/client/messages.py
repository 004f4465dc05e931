"""What both clients, the synchronous and the asyncio one, send, read and raise. Sends nothing."""

import dataclasses
import time
from collections.abc import Sequence

import grpc
import numpy as np

from serving.protocol import api, tensors
from tf_talking.media import jpeg

_CURED_BY_WAITING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.DEADLINE_EXCEEDED)
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # JPEG, PNG


class TalkingHeadError(RuntimeError):
    """A call failed. `code` is gRPC's status code, `details` the server's message."""

    def __init__(self, what: str, code: grpc.StatusCode, details: str):
        super().__init__(f"{what}: {code.name}: {details}")
        self.code = code
        self.details = details


def failed(what: str, target: str, error: grpc.RpcError) -> TalkingHeadError:
    """The error of a call that gRPC reported as failed."""
    return TalkingHeadError(f"{what} at {target}", error.code(), error.details())


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """State of one version: START, LOADING, AVAILABLE, UNLOADING or END, and its error."""

    version: int
    state: str
    error_code: int
    error_message: str


def status_request(model: str) -> api.GetModelStatusRequest:
    """Asks for the states of all versions."""
    request = api.GetModelStatusRequest()
    request.model_spec.name = model
    return request


def read_status(response: api.GetModelStatusResponse) -> list[VersionStatus]:
    """States of a model's versions, newest first."""
    states = [
        VersionStatus(
            entry.version,
            api.STATES.get(entry.state, str(entry.state)),
            entry.status.error_code,
            entry.status.error_message,
        )
        for entry in response.model_version_status
    ]
    return sorted(states, key=lambda status: -status.version)


def has_available(seen: list[VersionStatus] | TalkingHeadError) -> bool:
    """Whether one of the versions can be used."""
    return isinstance(seen, list) and any(status.state == "AVAILABLE" for status in seen)


def read_health(seen: api.HealthCheckResponse | TalkingHeadError) -> bool | None:
    """Whether it says SERVING; None where the server has no health service; other errors raise."""
    if isinstance(seen, TalkingHeadError):
        if seen.code == grpc.StatusCode.UNIMPLEMENTED:
            return None
        raise seen
    return seen.status == api.HEALTH_SERVING


@dataclasses.dataclass(frozen=True)
class ModelChoice:
    """Which model of a server: the newest version, one by its number, or one by its label.

    Raises:
      ValueError: a number and a label.
    """

    model: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self):
        if self.version is not None and self.label is not None:
            raise ValueError(f"got version {self.version} and label {self.label!r}, expected at most one of them")

    @property
    def is_free(self) -> bool:
        """Whether the server chooses."""
        return self.version is None and self.label is None

    def into(self, spec) -> None:
        """Writes it into a request's ModelSpec."""
        spec.name = self.model
        if self.version is not None:
            spec.version.value = self.version
        if self.label is not None:
            spec.version_label = self.label

    def __str__(self) -> str:
        more = f" version {self.version}" if self.version is not None else ""
        return f"model {self.model}{more}" + (f" label {self.label}" if self.label is not None else "")


def metadata_request(choice: ModelChoice) -> api.GetModelMetadataRequest:
    """Asks for the signatures."""
    request = api.GetModelMetadataRequest(metadata_field=["signature_def"])
    choice.into(request.model_spec)
    return request


class Waiting:
    """When a wait is given up, and which errors are worth waiting for."""

    def __init__(self, target: str, timeout: float):
        self._target, self._timeout = target, timeout
        self._end = time.monotonic() + timeout

    def deadline(self, longest: float) -> float:
        """Of the next call, in seconds."""
        return min(longest, max(self._end - time.monotonic(), 0.2))

    def saw(self, what: str, seen: object) -> None:
        """Raises TalkingHeadError if `seen` is an error that stays, or if time is over."""
        if isinstance(seen, TalkingHeadError) and seen.code not in _CURED_BY_WAITING:
            raise seen
        if time.monotonic() > self._end:
            raise TalkingHeadError(
                f"{what} at {self._target}",
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"not available within {self._timeout:g} s; last seen: {seen}",
            )


def predict_request(choice: ModelChoice, key: str, inputs: dict[str, np.ndarray]) -> api.PredictRequest:
    """A request to the signature `key`."""
    request = api.PredictRequest()
    choice.into(request.model_spec)
    request.model_spec.signature_name = key
    for name, value in inputs.items():
        tensors.encode(value, request.inputs[name])
    return request


def embed_request(frames: np.ndarray, landmarks: np.ndarray, choice: ModelChoice) -> tuple[api.PredictRequest, bool]:
    """Checks and packs cropped frames. Returns the request, and whether it is of one person."""
    frames = np.asarray(frames)
    landmarks = np.asarray(landmarks, np.float32)
    if frames.dtype != np.uint8 or frames.ndim not in (4, 5):
        raise ValueError(
            f"frames: got {frames.dtype} {list(frames.shape)}, expected uint8 [K, S, S, 3] or [B, K, S, S, 3]"
        )
    if landmarks.ndim != frames.ndim - 1 or landmarks.shape[:-2] != frames.shape[:-3]:
        raise ValueError(
            f"landmarks: got {list(landmarks.shape)} for frames {list(frames.shape)}, "
            "expected a row of points for every frame"
        )
    single = frames.ndim == 4
    if single:
        frames, landmarks = frames[None], landmarks[None]
    return predict_request(choice, api.DEFAULT, {"frames": frames, "landmarks": landmarks}), single


def embed_jpeg_request(images: Sequence[bytes], landmarks: np.ndarray, choice: ModelChoice) -> api.PredictRequest:
    """Checks and packs whole photos of one person, JPEG or PNG files."""
    for index, image in enumerate(images):
        if not isinstance(image, bytes) or not image.startswith(_IMAGE_STARTS):
            raise ValueError(f"images[{index}]: expected the bytes of a JPEG or PNG file")
    landmarks = np.asarray(landmarks, np.float32)
    if not images or landmarks.ndim != 3 or len(landmarks) != len(images):
        raise ValueError(
            f"landmarks: got {list(landmarks.shape)} for {len(images)} images, expected "
            "[K, P, 2] in pixels of each photo for K >= 1 images"
        )
    if not np.isfinite(landmarks).all():
        raise ValueError("landmarks: not all values are finite")
    packed = np.array(images, object)[None]
    return predict_request(choice, api.EMBED_JPEG, {"images": packed, "landmarks": landmarks[None]})


def read_output(response: api.PredictResponse, name: str, model: str) -> np.ndarray:
    """An output of an answer. Raises TalkingHeadError (DATA_LOSS) where it is missing."""
    if name not in response.outputs:
        raise TalkingHeadError(
            f"model {model}",
            grpc.StatusCode.DATA_LOSS,
            f"no output {name!r} in the answer, found {sorted(response.outputs)}",
        )
    return tensors.decode(response.outputs[name])


def read_embedding(response: api.PredictResponse, model: str, single: bool) -> tuple[np.ndarray, np.ndarray]:
    """embedding float32 [N] and adain_params float32 [L] of one person; else [B, N], [B, L]."""
    values = tuple(read_output(response, name, model) for name in ("embedding", "adain_params"))
    return tuple(value[0] for value in values) if single else values


def read_jpeg(data: bytes) -> np.ndarray:
    """RGB uint8 [S, S, 3]. Needs OpenCV. Raises TalkingHeadError (DATA_LOSS)."""
    try:
        return jpeg.decode(data)
    except ValueError as error:
        raise TalkingHeadError("animate", grpc.StatusCode.DATA_LOSS, "the server's frame is no JPEG") from error
