"""Timed pictures out of videos, folders of frames and photos.

A picture comes as a player shows it, whatever the file says about rotation, mirroring, the shape of
its pixels, colours, half pictures or EXIF orientation: uint8 [H, W, 3] RGB, upright, with the time
at which it is shown. What is damaged is passed over and said. Every reading error is a ValueError
that names the file. No TensorFlow.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import av
import numpy as np
from absl import logging

from tf_talking.media import animated, decoding, photos
from tf_talking.media.colours import ToRgb
from tf_talking.media.decoding import DEFAULT_FPS, Damage
from tf_talking.media.orientation import square_size, turned
from tf_talking.media.panels import scaled
from tf_talking.media.stand_still import within

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .vob .wmv .flv .3gp .ogv .ts .mts .m2ts .gif".split()
)


class TimedPicture(NamedTuple):
    """A picture of a source.

    Attributes:
      number: from 0; pictures that were not chosen or are damaged count.
      seconds: when it is shown, from the first picture on.
      pixels: uint8 [H, W, 3] RGB, upright.
    """

    number: int
    seconds: float
    pixels: np.ndarray


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What can be told from the first picture. Width and height are those of the pictures."""

    width: int
    height: int
    fps: float  # on average
    num_frames_estimate: int  # 0: the file does not say
    has_audio: bool


def is_video(path: str | os.PathLike) -> bool:
    """Whether the name is that of a video."""
    return pathlib.Path(path).suffix.lower() in VIDEO_SUFFIXES


def read_frames(path: str | os.PathLike, threads: int = 0) -> Iterator[np.ndarray]:
    """Yields the pixels of `read_pictures`, uint8 [H, W, 3] RGB."""
    return (picture.pixels for picture in read_pictures(path, threads=threads))


def _warn(path: str | os.PathLike, reason: str, count: int) -> None:
    logging.warning("%s: %s%s", path, reason, f" ({count} pictures)" if count > 1 else "")


def read_pictures(
    path: str | os.PathLike,
    chosen: Callable[[int, float], bool] = lambda number, seconds: True,
    threads: int = 0,
    strict: bool = False,
    on_damage: Callable[[str, int], None] | None = None,
) -> Iterator[TimedPicture]:
    """Yields the pictures of a video file, of a folder of frames (natural order), or of one photo,
    which may be animated.

    What can not be read is left out, be it in the middle or all from some place on.

    Args:
      path: what to read.
      chosen: (number from 0, seconds) -> whether the picture is wanted; those of a video that are
        not are decoded, but cost nothing further.
      threads: of the video decoder; 0: as many as large pictures need.
      strict: a picture that the decoder had to patch up (damaged data) is left out too, and so
        are those after it that are drawn from it.
      on_damage: gets a reason and how many pictures it concerns, at the end; None: a warning in
        the log.

    Raises:
      ValueError: not one picture can be read: no such file, empty, corrupt, not a video, or more
        than photos.MAX_PIXELS pixels a picture.
    """
    path = pathlib.Path(path)
    on_damage = on_damage or functools.partial(_warn, path)
    files = _photo_files(path)
    if files is None:
        yield from _read_video(path, chosen, threads, strict, on_damage)
    elif len(files) == 1 and animated.num_pictures(path) > 1:
        for number, (seconds, pixels) in enumerate(animated.read(path)):
            if chosen(number, seconds):
                yield TimedPicture(number, seconds, pixels)
    else:
        yield from _read_photos(files, chosen, on_damage)


def probe(path: str | os.PathLike) -> VideoInfo:
    """Size, speed, length and sound of whatever `read_pictures` reads; its errors too."""
    path = pathlib.Path(path)
    files = _photo_files(path)
    if files is None:
        return next(within(lambda: _probe_video(path), f"{path}: decoding"))
    width, height = photos.photo_size(files[0])
    if len(files) == 1 and (count := animated.num_pictures(path)) > 1:
        return VideoInfo(width, height, animated.speed(path), count, False)
    return VideoInfo(width, height, DEFAULT_FPS, len(files), False)


def _probe_video(path: pathlib.Path) -> Iterator[VideoInfo]:
    with decoding.open_video(path) as container:
        stream = decoding.picture_stream(container)
        fps, count = decoding.speed(stream), stream.frames
        if not count and container.duration:
            count = round(container.duration / av.time_base * fps)
        first = next(filter(None, decoding.decode(container, 1, False, Damage())), None)
        if first is None:
            raise ValueError(f"{path}: corrupt video: not one frame can be decoded")
        height, width = _Shown(stream)(first[1]).shape[:2]
        yield VideoInfo(width, height, fps, count, bool(container.streams.audio))


def _photo_files(path: pathlib.Path) -> list[pathlib.Path] | None:
    """Of a folder of frames, or the photo itself; None for a video."""
    if not path.is_dir():
        return [path] if photos.is_image(path) else None
    files = photos.frame_files(path)
    if not files:
        raise ValueError(f"{path}: a folder without images")
    return files


def _read_photos(files: list[pathlib.Path], chosen, on_damage) -> Iterator[TimedPicture]:
    bad: list[ValueError] = []
    good = 0
    for number, file in enumerate(files):
        seconds = number / DEFAULT_FPS
        if chosen(number, seconds):
            try:
                pixels = photos.read_photo(file)
            except ValueError as error:
                bad.append(error)
                continue
            good += 1
            yield TimedPicture(number, seconds, pixels)
    if bad and not good:
        raise bad[0]
    for error in bad:
        on_damage(str(error), 1)


def _read_video(path: pathlib.Path, chosen, threads: int, strict: bool, on_damage) -> Iterator[TimedPicture]:
    damage, count = Damage(), 0

    def pictures() -> Iterator[TimedPicture | None]:
        """None is a sign of life."""
        nonlocal count
        with decoding.open_video(path) as container:
            shown, start = _Shown(decoding.picture_stream(container)), None
            for number, item in enumerate(decoding.decode(container, threads, strict, damage)):
                if item is None:
                    yield None
                    continue
                time, frame = item
                start = time if start is None else start
                photos.check_pixels(path, frame.width, frame.height)
                count += 1
                wanted = chosen(number, time - start)
                yield TimedPicture(number, time - start, shown(frame)) if wanted else None

    try:
        yield from filter(None, within(pictures, f"{path}: decoding"))
    except (ValueError, TimeoutError) as error:
        if count == 0:
            raise ValueError(str(error)) from None
        damage.broke_off = str(error).removeprefix(f"{path}: ")
    if count == 0:
        reason = damage.broke_off or "not one frame can be decoded"
        raise ValueError(f"{path}: corrupt video: {reason}")
    if damage.pictures:
        on_damage(decoding.DAMAGED, damage.pictures)
    if damage.broke_off:
        on_damage(f"broke off after {count} frames: {damage.broke_off}", 1)


class _Shown:
    """A decoded frame as players show it, uint8 [H, W, 3] RGB."""

    def __init__(self, stream: av.VideoStream):
        self._stream, self._to_rgb = stream, ToRgb()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        pixels = self._to_rgb(frame, self._stream.codec_context.color_trc)
        size = square_size(frame.width, frame.height, self._stream.sample_aspect_ratio)
        return turned(scaled(pixels, *size), frame)
