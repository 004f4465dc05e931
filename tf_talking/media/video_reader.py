"""Timed pictures out of videos, folders of frames and photos.

A picture comes as a player shows it, whatever the file says about rotation or EXIF orientation:
uint8 [H, W, 3] RGB, upright, with the time at which it is shown. What else a file may say (shape
of its pixels, kind of its colors) is made good in the same place, `_as_shown`. Every reading error
is a ValueError that names the file. No TensorFlow.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import av
import numpy as np

from tf_talking.media import photos

VIDEO_SUFFIXES = frozenset(".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .wmv .flv .3gp .ts .gif".split())
DEFAULT_FPS = 25.0  # of what has no speed of its own: folders of frames, datasets, cameras


class TimedPicture(NamedTuple):
    """A picture of a source.

    Attributes:
      number: from 0; pictures that were not chosen count.
      seconds: when it is shown.
      pixels: uint8 [H, W, 3] RGB, upright.
    """

    number: int
    seconds: float
    pixels: np.ndarray


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What can be told without decoding. Width and height are those of the pictures."""

    width: int
    height: int
    fps: float
    num_frames_estimate: int  # 0: the file does not say
    has_audio: bool


def is_video(path: str | os.PathLike) -> bool:
    """Whether the name is that of a video."""
    return pathlib.Path(path).suffix.lower() in VIDEO_SUFFIXES


def read_frames(path: str | os.PathLike, threads: int = 0) -> Iterator[np.ndarray]:
    """Yields the pixels of `read_pictures`, uint8 [H, W, 3] RGB."""
    return (picture.pixels for picture in read_pictures(path, threads=threads))


def read_pictures(
    path: str | os.PathLike,
    chosen: Callable[[int, float], bool] = lambda number, seconds: True,
    threads: int = 0,
    strict: bool = False,
) -> Iterator[TimedPicture]:
    """Yields the pictures of a video file, of a folder of frames (natural order), or one photo.

    Args:
      path: what to read.
      chosen: (number from 0, seconds) -> whether the picture is wanted; those of a video that are
        not are decoded, but cost nothing further.
      threads: of the video decoder; 0: one a core.
      strict: a picture that the decoder had to patch up (damaged data) is an error too.

    Raises:
      ValueError: no such file, empty, corrupt (also midway), not a video, or more than
        photos.MAX_PIXELS pixels a picture. Raised when the iterator gets there.
    """
    path = pathlib.Path(path)
    files = _photo_files(path)
    if files is None:
        yield from _read_video(path, chosen, threads, strict)
        return
    for number, file in enumerate(files):
        seconds = number / DEFAULT_FPS
        if chosen(number, seconds):
            yield TimedPicture(number, seconds, photos.read_photo(file))


def probe(path: str | os.PathLike) -> VideoInfo:
    """Size, speed, length and sound of whatever `read_pictures` reads; its errors too."""
    path = pathlib.Path(path)
    files = _photo_files(path)
    if files is not None:
        width, height = photos.photo_size(files[0])
        return VideoInfo(width, height, DEFAULT_FPS, len(files), False)
    with open_video(path) as container:
        stream = container.streams.video[0]
        fps, count = _fps(stream), stream.frames
        if not count and container.duration:
            count = round(container.duration / av.time_base * fps)
        width, height = stream.codec_context.width, stream.codec_context.height
        try:
            first = next(container.decode(stream), None)
        except av.error.FFmpegError as error:
            raise ValueError(f"{path}: corrupt video: {error.strerror}") from None
        if first is not None:
            height, width = _as_shown(first).shape[:2]
        return VideoInfo(width, height, fps, count, bool(container.streams.audio))


def _photo_files(path: pathlib.Path) -> list[pathlib.Path] | None:
    """Of a folder of frames, or the photo itself; None for a video."""
    if not path.is_dir():
        return [path] if photos.is_image(path) else None
    files = photos.frame_files(path)
    if not files:
        raise ValueError(f"{path}: a folder without images")
    return files


def open_container(path: pathlib.Path) -> av.container.InputContainer:
    """Opens a file with pictures or sound. Raises ValueError as `read_pictures`."""
    photos.check_file(path)
    try:
        return av.open(os.fspath(path))
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: not a video, or a corrupt one: {error.strerror}") from None


def open_video(path: pathlib.Path) -> av.container.InputContainer:
    """Opens a file that holds pictures. Raises ValueError as `read_pictures`."""
    container = open_container(path)
    try:
        if not container.streams.video:
            raise ValueError(f"{path}: holds no video stream")
        context = container.streams.video[0].codec_context
        if context is None:
            raise ValueError(f"{path}: video in a format that can not be decoded")
        photos.check_pixels(path, context.width, context.height)
    except ValueError:
        container.close()
        raise
    return container


def _fps(stream: av.VideoStream) -> float:
    return float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS)


def _read_video(path: pathlib.Path, chosen, threads: int, strict: bool) -> Iterator[TimedPicture]:
    with open_video(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        fps = _fps(stream)
        count = 0
        try:
            for frame in container.decode(stream):
                photos.check_pixels(path, frame.width, frame.height)
                if strict and frame.is_corrupt:
                    raise ValueError(f"{path}: corrupt video after {count} frames: damaged data")
                seconds = count / fps if frame.time is None else frame.time
                if chosen(count, seconds):
                    yield TimedPicture(count, seconds, _as_shown(frame))
                count += 1
        except av.error.FFmpegError as error:
            raise ValueError(f"{path}: corrupt video after {count} frames: {error.strerror}") from None
        if count == 0:
            raise ValueError(f"{path}: corrupt video: not one frame can be decoded")


def _as_shown(frame: av.VideoFrame) -> np.ndarray:
    """A decoded frame as players show it, uint8 [H, W, 3] RGB."""
    pixels = frame.to_ndarray(format="rgb24")
    # The display matrix turns counter-clockwise, as np.rot90 does.
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels
