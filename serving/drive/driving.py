"""Opens what drives a talking head.

Sources: a video file, a folder of frames or a photo (detected and cropped frame by frame, see
`heads`); a landmark track `.npy` [N, P, 2] or `.npz` (`landmarks`, and if it has them `frames`
uint8 [N, S, S, 3], `fps`, `detector`, `scheme`, `image_size`); a video of a dataset folder.
"""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from serving.drive.frames import Driving, DrivingFrame, Pace
from serving.drive.heads import detected, detected_live
from serving.drive.live import camera_pictures
from tf_talking import npz
from tf_talking.dataset import folder as dataset_folder
from tf_talking.media import jpeg
from tf_talking.media.video_reader import DEFAULT_FPS, probe, read_pictures
from tf_talking.people.card import PersonCard

_MAX_TRACK_BYTES = 4 * 2**30  # 20,000 frames of 256 pixels; without frames a track is small


def open_driving(
    path: str | os.PathLike,
    card: PersonCard,
    detector: str | None = None,
    video_id: str | None = None,
    pace: Pace | None = None,
    face: str | None = None,
) -> Driving:
    """Opens a source for a person.

    Args:
      path: see above.
      card: whose detector, scheme and image size the landmarks must have.
      detector: the detector that made (or shall make) the landmarks; by default what the source
        says, or else the card's.
      video_id: which video of a dataset folder.
      pace: for a source that is played live. Without it: every frame, as soon as possible.
      face: with which of several faces in pictures to begin, see `FollowedFace`.

    Raises:
      FileNotFoundError, ValueError: names the file and what is wrong with it, or both detectors
        (schemes, sizes) where source, card and `detector` differ.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"driving {path}: no such file or folder")
    is_dataset = (path / dataset_folder.INFO_FILE).is_file()
    if video_id is not None and not is_dataset:
        raise ValueError(f"video_id {video_id!r}: driving {path} is not a dataset folder")
    if not is_dataset and path.suffix.lower() not in (".npz", ".npy"):
        _check(path, card, detector, {})
        return _from_pictures(path, card, pace, face)
    if face is not None:
        raise ValueError(f"face {face!r}: driving {path} is no video, its landmarks are known already")
    if is_dataset:
        driving = _from_dataset(path, card, detector, video_id)
    else:
        driving = _from_track(path, card, detector)
    if pace is None:
        return driving
    return dataclasses.replace(driving, frames=lambda: pace(driving.frames()))


def open_camera(number: int, card: PersonCard, face: str | None = None) -> Driving:
    """A camera as a source for a person; errors of the camera come with its frames."""
    return Driving(lambda: detected_live(camera_pictures(number), card, face), DEFAULT_FPS, 0)


def _check(path: pathlib.Path, card: PersonCard, detector: str | None, recorded: dict) -> None:
    """Raises ValueError where what the source records, the card and `detector` contradict."""
    made_by = recorded.get("detector", detector)
    if detector not in (None, made_by):
        raise ValueError(f"detector: got {detector!r}, but driving {path} records that {made_by!r} made its landmarks")
    for field, value in ({"detector": made_by} | recorded).items():
        expected = getattr(card, field)
        if value is not None and value != expected:
            raise ValueError(
                f"driving {path}: its {field} is {value!r}, but {expected!r} made the person card "
                f"{card.name!r}; the two can not be mixed"
            )


def _from_pictures(path: pathlib.Path, card: PersonCard, pace: Pace | None, face: str | None) -> Driving:
    info, damage = probe(path), []

    def on_damage(reason: str, count: int) -> None:
        damage.append(f"{reason} ({count} frames)" if count > 1 else reason)

    def frames() -> Iterator[DrivingFrame]:
        if pace is None:
            return detected(read_pictures(path, on_damage=on_damage), card, path, face)
        return detected_live(pace(read_pictures(path)), card, face)

    return Driving(frames, info.fps, info.num_frames_estimate, path if info.has_audio else None, damage)


def _from_dataset(path: pathlib.Path, card: PersonCard, detector: str | None, video_id: str | None) -> Driving:
    folder = dataset_folder.DatasetFolder.open(path)
    recorded = {name: getattr(folder.info, name) for name in ("detector", "scheme", "image_size")}
    _check(path, card, detector, recorded)
    record = folder.read_video(video_id)
    return Driving(
        lambda: map(DrivingFrame, _times(DEFAULT_FPS), record.landmarks, map(jpeg.decode, record.frames)),
        DEFAULT_FPS,
        record.num_frames,
    )


def _times(fps: float) -> Iterator[float]:
    return (number / fps for number in itertools.count())


def _from_track(path: pathlib.Path, card: PersonCard, detector: str | None) -> Driving:
    members = _read_arrays(path)
    if "landmarks" not in members:
        raise ValueError(f"driving {path}: no array 'landmarks', found {sorted(members)}")
    landmarks = members["landmarks"]
    if landmarks.ndim != 3 or landmarks.shape[-1] != 2 or landmarks.dtype.kind not in "fiu":
        raise ValueError(
            f"driving {path}, landmarks: got {landmarks.dtype} {list(landmarks.shape)}, expected float32 [N, P, 2]"
        )
    if len(landmarks) == 0 or not np.isfinite(landmarks).all():
        raise ValueError(f"driving {path}, landmarks: empty, or not all of them finite")
    facts = ("detector", "scheme", "image_size")
    _check(path, card, detector, {name: members[name].item() for name in facts if name in members})
    images = members.get("frames")
    expected = (len(landmarks), card.image_size, card.image_size, 3)
    if images is not None and (images.dtype != np.uint8 or images.shape != expected):
        raise ValueError(
            f"driving {path}, frames: got {images.dtype} {list(images.shape)}, expected uint8 {list(expected)}"
        )
    fps = float(members.get("fps", DEFAULT_FPS))
    if not fps > 0:
        raise ValueError(f"driving {path}, fps: got {fps}, expected a positive number")
    images = itertools.repeat(None) if images is None else images
    points = landmarks.astype(np.float32)
    return Driving(lambda: map(DrivingFrame, _times(fps), points, images), fps, len(points))


def _read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        if path.suffix.lower() == ".npy":
            return {"landmarks": npz.read_npy(path, _MAX_TRACK_BYTES)}
        return npz.read_npz(path, _MAX_TRACK_BYTES)
    except (ValueError, OSError) as error:
        raise ValueError(f"driving {path}: not a landmark track ({error})") from error
