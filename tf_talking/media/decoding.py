"""The frames of a video file as decoded, with their times, past what is damaged. No TensorFlow."""

import dataclasses
import pathlib
from collections.abc import Iterator

import av

from tf_talking.media import photos
from tf_talking.media.containers import Timeline, open_container
from tf_talking.media.deinterlacing import Deinterlacer

DEFAULT_FPS = 25.0  # of what has no speed of its own: folders of frames, datasets, cameras
DAMAGED = "damaged data"
_HD = 1920 * 1088  # pixels
_SHORT = 0.25  # seconds by which lengths in headers may be wrong


@dataclasses.dataclass
class Damage:
    """What was wrong with a file that was read nevertheless.

    Attributes:
      pictures: that are damaged or missing.
      broke_off: why there is nothing after the last picture; None: the file ends there.
    """

    pictures: int = 0
    broke_off: str | None = None


def open_video(path: pathlib.Path) -> av.container.InputContainer:
    """Opens a file that holds pictures. Raises ValueError as `video_reader.read_pictures`."""
    container = open_container(path)
    try:
        if not container.streams.video:
            raise ValueError(f"{path}: holds no video stream")
        context = picture_stream(container).codec_context
        if context is None:
            raise ValueError(f"{path}: video in a format that can not be decoded")
        photos.check_pixels(path, context.width, context.height)
    except ValueError:
        container.close()
        raise
    return container


def picture_stream(container: av.container.InputContainer) -> av.VideoStream:
    """Of a file that holds pictures, the stream that players show: no cover picture."""
    return container.streams.best("video")


def speed(stream: av.VideoStream) -> float:
    """Frames per second, on average."""
    return float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS)


def decode(
    container: av.container.InputContainer, threads: int, strict: bool, damage: Damage
) -> Iterator[tuple[float, av.VideoFrame] | None]:
    """Yields (seconds on the file's own clock, frame), in the order in which they are shown, and
    None for one that is missing or left out.

    Args:
      container: from `open_video`.
      threads: of the decoder; 0: as many as large pictures need.
      strict: frames that the decoder had to patch up are left out, and so are those after them
        that are drawn from them.
      damage: is filled in.
    """
    stream = picture_stream(container)
    # Never slices of one frame: wavefronts of HEVC wait for each other for ever (FFmpeg 7.1.0).
    stream.thread_type = "FRAME"
    stream.codec_context.thread_count = threads or _threads_for(stream.codec_context)
    step = 1 / speed(stream)
    timeline = Timeline()
    patched, frame = False, None
    for item in Deinterlacer().through(_frames(container, stream, damage)):
        if item is None:
            patched = True
            yield None
            continue
        frame = item
        place = timeline.place(frame.time, step)
        # What is drawn from a patched or missing frame is no better, up to one that stands alone.
        patched = frame.is_corrupt or (patched and not frame.key_frame)
        damage.pictures += patched
        yield None if patched and strict else (place, frame)
    if frame is not None and frame.is_corrupt and damage.broke_off is None:
        damage.broke_off = DAMAGED


def _threads_for(context: av.VideoCodecContext) -> int:
    """1, or 0: one a core. With several a picture may come out before its damage is known, so what
    is said of a file would differ from run to run; one is fast enough up to HD."""
    return int(context.width * context.height <= _HD)


class _AviTimes:
    """AVI says when a frame is decoded, not when it is shown. Frames come out in the order in which
    they are shown, late by what the decoder held back, which is the same for all."""

    def __init__(self):
        self._first_packet: int | None = None
        self._delay: int | None = None

    def see(self, packet: av.Packet) -> None:
        if self._first_packet is None:
            self._first_packet = packet.dts

    def mend(self, frame: av.VideoFrame) -> av.VideoFrame:
        if frame.dts is None or self._first_packet is None:
            frame.pts = None
        else:
            if self._delay is None:
                self._delay = frame.dts - self._first_packet
            frame.pts = frame.dts - self._delay
        return frame


def _frames(container, stream, damage: Damage) -> Iterator[av.VideoFrame | None]:
    """Frames as decoded; None for what could not be."""
    avi = _AviTimes() if container.format.name == "avi" else None
    end = 0  # of what was read, in ticks
    bad = 0  # packets that could not be decoded since the last one that could
    why = ""
    try:
        for packet in container.demux(stream):
            flush = packet.size == 0 and packet.pts is None and packet.dts is None
            if avi:
                avi.see(packet)
            if packet.pts is not None:
                end = max(end, packet.pts + (packet.duration or 0))
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                bad, why = bad + 1, error.strerror
                yield None
                continue
            if bad and not (flush or packet.is_corrupt):
                damage.pictures += bad
                bad = 0
            yield from map(avi.mend, frames) if avi else frames
    except av.error.FFmpegError as error:  # of the file, not of a frame
        bad, why = bad + 1, error.strerror
    if bad:
        damage.broke_off = why
        yield from _held_back(stream)
    elif _missing(container, stream, end) > _SHORT:
        damage.broke_off = f"{_missing(container, stream, end):.1f} s are missing"


def _missing(container, stream, end: int) -> float:
    """Seconds that an MP4 says to hold after `end`; it may be cut between two frames."""
    if not container.format.name.startswith("mov") or not stream.duration:
        return 0.0
    return float(((stream.start_time or 0) + stream.duration - end) * stream.time_base)


def _held_back(stream) -> Iterator[av.VideoFrame]:
    """Frames that the decoder holds when the file broke off."""
    try:
        yield from stream.codec_context.decode(None)
    except av.error.FFmpegError:  # nothing more, or no good
        return


def start_of_pictures(path: pathlib.Path) -> float:
    """When the first picture that can be decoded is shown, in seconds on the file's own clock.
    Raises ValueError as `video_reader.read_pictures`."""
    with open_video(path) as container:
        for item in decode(container, 1, False, Damage()):
            if item is not None:
                return item[0]
    raise ValueError(f"{path}: corrupt video: not one frame can be decoded")
