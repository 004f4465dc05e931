"""Frames out of videos, folders of frames and photos; H.264 video out of frames.

Frames are uint8 [H, W, 3] RGB, upright (a phone's rotation and EXIF orientation are applied).
Every reading error is a ValueError that names the file. No TensorFlow.
"""

import dataclasses
import fractions
import os
import pathlib
from collections.abc import Callable, Iterator

import av
import numpy as np

from tf_talking.media import photos

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".wmv",
        ".flv",
        ".3gp",
        ".ts",
        ".gif",
    }
)

FOLDER_FPS = 25.0  # a folder of frames has no speed of its own

_MP4_AUDIO = ("aac", "mp3", "ac3", "eac3", "alac", "opus")


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What can be told without decoding. Width and height are those of upright frames."""

    width: int
    height: int
    fps: float
    num_frames_estimate: int  # 0: the file does not say
    has_audio: bool


def is_video(path: str | os.PathLike) -> bool:
    """Whether the name is that of a video."""
    return pathlib.Path(path).suffix.lower() in VIDEO_SUFFIXES


def read_frames(path: str | os.PathLike, threads: int = 0) -> Iterator[np.ndarray]:
    """Yields the frames of a video file, of a folder of frames (natural order), or one photo.

    Args:
        path: what to read.
        threads: of the video decoder; 0: one a core.

    Raises:
        ValueError: no such file, empty, corrupt (also midway), not a video, or more than
            photos.MAX_PIXELS pixels a frame. Raised when the iterator gets there.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        files = photos.frame_files(path)
        if not files:
            raise ValueError(f"{path}: a folder without images")
        for file in files:
            yield photos.read_photo(file)
    elif photos.is_image(path):
        yield photos.read_photo(path)
    else:
        yield from _read_video(path, threads)


def probe(path: str | os.PathLike) -> VideoInfo:
    """Size, speed, length and sound of whatever `read_frames` reads; its errors too."""
    path = pathlib.Path(path)
    if path.is_dir() or photos.is_image(path):
        files = photos.frame_files(path) if path.is_dir() else [path]
        if not files:
            raise ValueError(f"{path}: a folder without images")
        width, height = photos.photo_size(files[0])
        return VideoInfo(width, height, FOLDER_FPS, len(files), False)
    with _open_video(path) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or stream.guessed_rate or FOLDER_FPS)
        count = stream.frames
        if not count and container.duration:
            count = round(container.duration / av.time_base * fps)
        width, height = stream.codec_context.width, stream.codec_context.height
        try:
            first = next(container.decode(stream), None)
        except av.error.FFmpegError as error:
            raise ValueError(f"{path}: corrupt video: {error.strerror}") from None
        if first is not None and first.rotation % 180:
            width, height = height, width
        return VideoInfo(width, height, fps, count, bool(container.streams.audio))


def _open_video(path: pathlib.Path) -> av.container.InputContainer:
    photos.check_file(path)
    try:
        container = av.open(os.fspath(path))
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: not a video, or a corrupt one: {error.strerror}") from None
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


def _read_video(path: pathlib.Path, threads: int) -> Iterator[np.ndarray]:
    for _, _, frame in read_chosen(path, lambda number, seconds: True, threads):
        yield frame


def read_chosen(
    path: str | os.PathLike,
    chosen: Callable[[int, float], bool],
    threads: int = 0,
    strict: bool = False,
) -> Iterator[tuple[int, float, np.ndarray]]:
    """Yields some frames of a video file; the others are decoded, but cost nothing further.

    Args:
        path: a video file.
        chosen: (number from 0, seconds) -> whether the frame is wanted.
        threads: of the video decoder; 0: one a core.
        strict: a frame that the decoder had to patch up (damaged data) is an error too.

    Yields:
        (number, seconds, uint8 [H, W, 3] RGB).

    Raises:
        ValueError: as `read_frames`.
    """
    path = pathlib.Path(path)
    with _open_video(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        fps = float(stream.average_rate or stream.guessed_rate or FOLDER_FPS)
        count = 0
        try:
            for frame in container.decode(stream):
                photos.check_pixels(path, frame.width, frame.height)
                if strict and frame.is_corrupt:
                    raise ValueError(f"{path}: corrupt video after {count} frames: damaged data")
                seconds = count / fps if frame.time is None else frame.time
                if chosen(count, seconds):
                    yield count, seconds, _upright(frame)
                count += 1
        except av.error.FFmpegError as error:
            raise ValueError(
                f"{path}: corrupt video after {count} frames: {error.strerror}"
            ) from None
        if count == 0:
            raise ValueError(f"{path}: corrupt video: not one frame can be decoded")


def _upright(frame: av.VideoFrame) -> np.ndarray:
    image = frame.to_ndarray(format="rgb24")
    # The display matrix turns counter-clockwise, as np.rot90 does.
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


class VideoWriter:
    """Writes H.264 (yuv420p, plays everywhere); the file appears under its name when it is whole.

    with VideoWriter("out.mp4", fps=25, size=(512, 256)) as writer:
        writer.write(frame)  # uint8 [256, 512, 3] RGB

    Leaving the block by an exception removes what was written so far.
    """

    def __init__(
        self, path: str | os.PathLike, fps: float, size: tuple[int, int] | int, crf: int = 18
    ):
        """Args:
            path: the file; its suffix names the container (.mp4, .mkv, .mov).
            fps: frames per second.
            size: (width, height), or one number for a square; both even.
            crf: quality, 0 (lossless) to 51.

        Raises:
            ValueError: odd or non-positive size, speed that is not positive.
            FileNotFoundError: the folder does not exist.
        """
        width, height = (size, size) if isinstance(size, int) else size
        if min(width, height) < 2 or width % 2 or height % 2:
            raise ValueError(f"size: got {width}x{height}, expected even numbers (yuv420p)")
        if not fps > 0:
            raise ValueError(f"fps: got {fps}, expected a positive number")
        self.path = pathlib.Path(path)
        self.size = (width, height)
        self.num_frames = 0
        self._temporary = _temporary(self.path)
        self._container = av.open(os.fspath(self._temporary), "w", options=_options(self.path))
        rate = fractions.Fraction(fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": str(crf), "preset": "veryfast"}

    def write(self, frame: np.ndarray) -> None:
        """Appends a frame uint8 [height, width, 3] RGB. Raises ValueError if it is another."""
        expected = (self.size[1], self.size[0], 3)
        if frame.dtype != np.uint8 or frame.shape != expected:
            raise ValueError(
                f"frame {self.num_frames} for {self.path}: got {frame.dtype} {frame.shape}, "
                f"expected uint8 {expected}"
            )
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        self._container.mux(self._stream.encode(picture))
        self.num_frames += 1

    def close(self) -> None:
        """Finishes the file and gives it its name. Raises ValueError if no frame was written."""
        if self._container is None:
            return
        if self.num_frames == 0:
            self.abort()
            raise ValueError(f"{self.path}: no frame was written")
        self._container.mux(self._stream.encode())
        self._container.close()
        self._container = None
        os.replace(self._temporary, self.path)

    def abort(self) -> None:
        """Removes what was written."""
        if self._container is not None:
            self._container.close()
            self._container = None
            self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def _temporary(path: pathlib.Path) -> pathlib.Path:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist")
    return path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")


def _options(path: pathlib.Path) -> dict[str, str]:
    # Players can start before the whole file has arrived.
    return {"movflags": "faststart"} if path.suffix.lower() in (".mp4", ".mov", ".m4v") else {}


def copy_audio(
    source: str | os.PathLike, video: str | os.PathLike, output: str | os.PathLike
) -> bool:
    """Writes `output`: the pictures of `video` with the sound of `source`, cut to their length.

    Nothing is encoded again, except sound in a format that mp4 can not hold (to AAC). `output`
    may be `video` itself.

    Returns:
        bool, whether `source` had sound; without any, `output` is a copy of `video`.

    Raises:
        ValueError: a file can not be read; the message names it.
    """
    source, video, output = (pathlib.Path(path) for path in (source, video, output))
    temporary = _temporary(output)
    has_audio = False
    try:
        with _open_video(video) as pictures:
            with av.open(os.fspath(temporary), "w", options=_options(output)) as result:
                stream = pictures.streams.video[0]
                copied = result.add_stream_from_template(stream, opaque=True)
                sound, audio = _open_audio(source)
                if sound is not None:
                    has_audio = True
                    encoded = _add_audio(result, audio)
                end = _copy_packets(pictures, stream, result, copied)
                if sound is not None:
                    with sound:
                        _copy_sound(sound, audio, result, encoded, end)
        os.replace(temporary, output)
    except av.error.FFmpegError as error:
        raise ValueError(f"sound of {source} to {output}: {error}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return has_audio


def _open_audio(path: pathlib.Path):
    """(container, audio stream) or (None, None) where there is no sound."""
    if path.is_dir() or photos.is_image(path):
        return None, None
    photos.check_file(path)
    try:
        container = av.open(os.fspath(path))
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: not a video, or a corrupt one: {error.strerror}") from None
    if container.streams.audio:
        return container, container.streams.audio[0]
    container.close()
    return None, None


def _add_audio(result, audio):
    if audio.codec_context.name in _MP4_AUDIO:
        return result.add_stream_from_template(audio, opaque=True)
    stream = result.add_stream("aac", rate=audio.codec_context.sample_rate)
    stream.codec_context.layout = audio.codec_context.layout
    return stream


def _copy_packets(container, stream, result, copied) -> float:
    """Copies the packets of one stream; returns where they end, in seconds."""
    end = 0.0
    for packet in container.demux(stream):
        if packet.dts is None:
            continue
        duration = packet.duration or 0
        end = max(end, float((packet.pts + duration) * packet.time_base))
        packet.stream = copied
        result.mux(packet)
    return end


def _copy_sound(container, audio, result, encoded, end: float) -> None:
    copy = audio.codec_context.name in _MP4_AUDIO
    packets_or_frames = container.demux(audio) if copy else container.decode(audio)
    for item in packets_or_frames:
        if item.pts is None:
            continue
        if float(item.pts * item.time_base) >= end:
            break
        if copy:
            item.stream = encoded
            result.mux(item)
        else:
            result.mux(encoded.encode(item))
    if not copy:
        result.mux(encoded.encode(None))
