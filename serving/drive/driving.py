"""What drives a talking head: a stream of landmark sets in pixels of the S×S crop.

Sources: a video file, a folder of frames or a photo (detected and cropped frame by frame exactly
as preprocessing does it); a landmark track `.npy` [N, P, 2] or `.npz` (`landmarks`, and if it has
them `frames` uint8 [N, S, S, 3], `fps`, `detector`, `scheme`, `image_size`); a video of a dataset
folder. A frame without landmarks holds those of the frame before it (at the start: those of the
first frame that has some) and carries the reason.
"""

import contextlib
import dataclasses
import functools
import itertools
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from tf_talking.dataset import folder as dataset_folder
from tf_talking.landmarks import crop
from tf_talking.landmarks.detector import LandmarkDetector
from tf_talking.landmarks.detectors import get_detector
from tf_talking.media import jpeg, video
from tf_talking.people.card import PersonCard

_CHUNK = 8  # frames that a detector gets at a time
Pace = Callable[[Iterator, float], Iterator]


@dataclasses.dataclass(frozen=True)
class DrivingFrame:
    """Landmarks float32 [P, 2]; the cropped frame uint8 [S, S, 3] if there is one; and, where the
    landmarks are held, why."""

    landmarks: np.ndarray
    frame: np.ndarray | None = None
    held_because: str | None = None


@dataclasses.dataclass(frozen=True)
class Driving:
    """A source that has been opened.

    Attributes:
      frames: makes the iterator; errors of reading and "no face at all" come from there.
      fps: frames per second.
      num_frames: an estimate; 0 if unknown.
      audio: file whose sound goes with it, or None.
    """

    frames: Callable[[], Iterator[DrivingFrame]]
    fps: float
    num_frames: int
    audio: pathlib.Path | None = None


def open_driving(
    path: str | os.PathLike,
    card: PersonCard,
    detector: str | None = None,
    video_id: str | None = None,
    pace: Pace | None = None,
) -> Driving:
    """Opens a source for a person.

    Args:
      path: see above.
      card: whose detector, scheme and image size the landmarks must have.
      detector: the detector that made (or shall make) the landmarks; by default what the source
        says, or else the card's.
      video_id: which video of a dataset folder.
      pace: (frames, frames per second) → the frames when they are due, for a source that is
        played live; some may be left out. Without it: every frame, as soon as possible.

    Raises:
      FileNotFoundError, ValueError: names the file and what is wrong with it, or both detectors
        (schemes, sizes) where source and card differ.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"driving {path}: no such file or folder")
    if (path / dataset_folder.INFO_FILE).is_file():
        return _paced(_from_dataset(path, card, detector, video_id), pace)
    if video_id is not None:
        raise ValueError(f"video_id {video_id!r}: driving {path} is not a dataset folder")
    if path.suffix.lower() in (".npz", ".npy"):
        return _paced(_from_track(path, card, detector), pace)
    _check(path, card, detector=detector)
    info = video.probe(path)
    if pace is None:
        frames = functools.partial(_detected, path, card)
    else:
        frames = lambda: detected_live(pace(video.read_frames(path), info.fps), card)  # noqa: E731
    audio = path if info.has_audio else None
    return Driving(frames, info.fps, info.num_frames_estimate, audio)


def _paced(driving: Driving, pace: Pace | None) -> Driving:
    frames = driving.frames if pace is None else lambda: pace(driving.frames(), driving.fps)
    return dataclasses.replace(driving, frames=frames)


def crop_photo(path: str | os.PathLike, card: PersonCard) -> np.ndarray:
    """The head of a photo as the networks see it, uint8 [S, S, 3].

    Raises:
      ValueError: not a photo, or not exactly one face in it.
    """
    frame = next(video.read_frames(path))
    with get_detector(card.detector, card.scheme, video=False) as detector:
        image, _, reason = _crop(frame, detector.detect([frame])[0], card.image_size)
    if reason is not None:
        raise ValueError(f"{path}: {reason}, expected a photo with one face")
    return image


def _check(path, card: PersonCard, detector=None, scheme=None, image_size=None) -> None:
    given = {"detector": detector, "scheme": scheme, "image_size": image_size}
    for field, value in given.items():
        expected = getattr(card, field)
        if value is not None and value != expected:
            raise ValueError(
                f"driving {path}: its {field} is {value!r}, but {expected!r} made the person card "
                f"{card.name!r}; the two can not be mixed"
            )


def _from_dataset(path, card: PersonCard, detector: str | None, video_id: str | None) -> Driving:
    folder = dataset_folder.DatasetFolder.open(path)
    info = folder.info
    _check(path, card, detector or info.detector, info.scheme, info.image_size)
    record = folder.read_video(video_id)

    def frames() -> Iterator[DrivingFrame]:
        for data, landmarks in zip(record.frames, record.landmarks, strict=True):
            yield DrivingFrame(landmarks, jpeg.decode(data))

    return Driving(frames, video.FOLDER_FPS, record.num_frames)


def _from_track(path: pathlib.Path, card: PersonCard, detector: str | None) -> Driving:
    members = _read_arrays(path)
    if "landmarks" not in members:
        raise ValueError(f"driving {path}: no array 'landmarks', found {sorted(members)}")
    landmarks = members["landmarks"]
    if landmarks.ndim != 3 or landmarks.shape[-1] != 2 or landmarks.dtype.kind not in "fiu":
        raise ValueError(
            f"driving {path}, landmarks: got {landmarks.dtype} {list(landmarks.shape)}, "
            "expected float32 [N, P, 2]"
        )
    if len(landmarks) == 0 or not np.isfinite(landmarks).all():
        raise ValueError(f"driving {path}, landmarks: empty, or not all of them finite")
    recorded = {
        field: members[field].item()
        for field in ("detector", "scheme", "image_size")
        if field in members
    }
    _check(path, card, **{"detector": detector} | recorded)
    images = members.get("frames")
    expected = (len(landmarks), card.image_size, card.image_size, 3)
    if images is not None and (images.dtype != np.uint8 or images.shape != expected):
        raise ValueError(
            f"driving {path}, frames: got {images.dtype} {list(images.shape)}, "
            f"expected uint8 {list(expected)}"
        )
    images = itertools.repeat(None) if images is None else images
    points = landmarks.astype(np.float32)
    fps = float(members.get("fps", video.FOLDER_FPS))
    if not fps > 0:
        raise ValueError(f"driving {path}, fps: got {fps}, expected a positive number")
    return Driving(lambda: map(DrivingFrame, points, images), fps, len(points))


def _read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"landmarks": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"driving {path}: not a landmark track ({error})") from error


def _detected(path: pathlib.Path, card: PersonCard) -> Iterator[DrivingFrame]:
    """Detects and crops frame by frame."""
    waiting: list[DrivingFrame] = []  # frames before the first face; small crops only
    last: np.ndarray | None = None
    with get_detector(card.detector, card.scheme) as detector:
        for frame, detection in _detections(path, detector):
            image, landmarks, reason = _crop(frame, detection, card.image_size)
            if landmarks is None and last is None:
                waiting.append(DrivingFrame(np.empty((0, 2), np.float32), image, reason))
                continue
            if landmarks is not None and last is None:
                for early in waiting:
                    yield dataclasses.replace(early, landmarks=landmarks)
            last = last if landmarks is None else landmarks
            yield DrivingFrame(last, image, reason)
    if last is None:
        reasons = sorted({frame.held_because for frame in waiting})
        raise ValueError(
            f"driving {path}: no landmarks in any of its {len(waiting)} frames "
            f"({', '.join(reasons)})"
        )


def detected_live(frames: Iterator[np.ndarray], card: PersonCard) -> Iterator[DrivingFrame]:
    """Detects one frame at a time; nothing is given before the first face."""
    last = None
    with get_detector(card.detector, card.scheme) as detector, contextlib.closing(frames):
        for frame in frames:
            found = detector.detect([frame])[0]
            image, landmarks, reason = _crop(frame, found, card.image_size)
            last = last if landmarks is None else landmarks
            if last is not None:
                yield DrivingFrame(last, image, reason)


def _detections(path: pathlib.Path, detector: LandmarkDetector):
    frames = video.read_frames(path)
    while chunk := list(itertools.islice(frames, _CHUNK)):
        yield from zip(chunk, detector.detect(chunk), strict=True)


def _crop(frame: np.ndarray, detection, size: int):
    """(crop uint8 [S, S, 3], landmarks in its pixels or None, reason or None)."""
    found = crop.crop_face(frame, detection, size)
    if not isinstance(found, str):
        return *found, None
    side = min(frame.shape[:2])  # nothing says where the head is: the middle
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    middle = frame[top : top + side, left : left + side]
    return cv2.resize(middle, (size, size), interpolation=cv2.INTER_AREA), None, found
