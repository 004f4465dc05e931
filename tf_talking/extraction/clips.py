"""The clips of an input, and what reads each of them frame by frame. No TensorFlow."""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from tf_talking.extraction import face_boxes
from tf_talking.extraction.item import InputItem
from tf_talking.files import readable
from tf_talking.media import photos
from tf_talking.media.video_reader import probe, read_pictures
from tf_talking.spread import spread


@dataclasses.dataclass(frozen=True)
class ReadFrame:
    """A frame that was read and, where boxes are given, where its face is."""

    frame: np.ndarray
    box: np.ndarray | None = None


def _read_video(
    file: str, boxes: tuple[str, ...], whole: bool, step: int, per_second: float, most: int | None
) -> Iterator[ReadFrame | str]:
    wanted = None
    if boxes:
        wanted = face_boxes.WantedFrames([face_boxes.read_boxes(path) for path in boxes], whole)
    candidates, places, interval = 0, None, None
    if most is not None:
        expected = _expected(file, wanted, step, per_second)
        # A file that does not say how long it is, or says too little, gives its first frames.
        places = set(spread(expected, most).tolist()) if expected > most else set(range(most))

    def chosen(number: int, seconds: float) -> bool:
        nonlocal candidates, interval
        if number % step or not (wanted is None or wanted.has(number, seconds)):
            return False
        if per_second:
            # The first picture of each interval; times are rounded in files.
            now = math.floor(seconds * per_second + 1e-3)
            if now == interval:
                return False
            interval = now
        candidates += 1
        return places is None or candidates - 1 in places

    damage: list[str] = []

    def on_damage(reason: str, count: int) -> None:
        damage.extend([reason] * count)

    for number, seconds, frame in read_pictures(file, chosen, threads=1, strict=True, on_damage=on_damage):
        yield ReadFrame(frame, wanted and wanted.box(number, seconds, frame.shape[1], frame.shape[0]))
        if (wanted and wanted.ended(number, seconds)) or (places and candidates > max(places)):
            break
    yield from damage


def _expected(file: str, wanted: face_boxes.WantedFrames | None, step: int, per_second: float) -> int:
    """How many frames the file seems to hold for the taking."""
    info = probe(file) if per_second or wanted is None else None
    frames = -(-(len(wanted) if wanted else info.num_frames_estimate) // step)
    return min(frames, math.ceil(frames * step / info.fps * per_second)) if per_second else frames


def _read_images(files: tuple[str, ...], most: int | None) -> Iterator[ReadFrame | str]:
    for place in spread(len(files), len(files) if most is None else most):
        file = files[place]
        try:
            yield ReadFrame(photos.read_photo(file))
        except ValueError as error:
            yield without_name(error, file)


def open_clips(
    item: InputItem, step: int = 1, per_second: float = 0.0
) -> dict[str, Callable[..., Iterator[ReadFrame | str]]]:
    """Main file of each clip -> opens its frames. Photos and folders of frames are one clip.

    Opened with a number, a clip yields at most so many frames, spread over its whole length as far
    as the file tells that before it is read. What is opened yields frames, and reasons for those
    that can not be read; a video of which nothing can be read raises ValueError.

    Args:
      item: the input.
      step: of videos and frame folders, each such frame is read.
      per_second: of videos, so many frames a second at most, by their times; 0: all.
    """
    if item.kind in ("video", "clips"):
        boxes = item.boxes or ((),) * len(item.files)
        whole = item.kind == "video"
        return {
            file: lambda most=None, file=file, own=own: _read_video(file, own, whole, step, per_second, most)
            for file, own in zip(item.files, boxes, strict=True)
        }
    files = item.files[::step] if item.kind == "frames" else item.files
    return {item.files[0]: lambda most=None: _read_images(files, most)}


def without_name(error: ValueError, file: str) -> str:
    """The message less the file's name, which the manifest has anyway."""
    return readable(str(error).removeprefix(f"{pathlib.Path(file)}: "))
