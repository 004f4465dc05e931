"""Videos as phones, browsers, recorders and bad luck leave them, and what can be heard in one."""

import fractions
import pathlib
import struct
from collections.abc import Callable, Sequence

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tests.tf_talking.media.pictures import ramp


def at_25(count: int, start: float = 0.0) -> list[float]:
    """Times of `count` pictures, 25 a second."""
    return [start + k / 25 for k in range(count)]


def write_video(
    path: pathlib.Path,
    times: Sequence[float],
    picture: Callable[[int], np.ndarray] = ramp,
    codec: str = "libx264",
    format: str = "yuv420p",
    matrix: int = 5,
    full_range: bool = False,
    said: dict | None = None,
    aspect: fractions.Fraction | None = None,
    interlaced: bool = False,
    options: dict | None = None,
    sound: str | None = None,
    sound_at: tuple[float, float] = (0.0, 0.0),
    sound_rate: int = 48000,
    sound_layout: str = "mono",
    container_options: dict | None = None,
) -> pathlib.Path:
    """Writes pictures with their times, and a beep of 0.1 s at every full second of a sound.

    Args:
      times: seconds, on the file's clock.
      picture: number from 0 -> uint8 [H, W, 3] RGB.
      matrix, full_range: what the colours are converted by.
      said: attributes of the codec (colorspace, color_trc, ...): what the file says of them.
      aspect: width of a pixel by its height, as the file says.
      sound: its codec; None: no sound.
      sound_at: seconds from which and up to which it goes; its beeps count from the former.
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        height, width = picture(0).shape[:2]
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, format
        context.time_base = fractions.Fraction(1, 25 if path.suffix == ".avi" else 12800)
        context.options = {"crf": "8"} | (options or {}) if codec == "libx264" else options or {}
        for name, value in (said or {}).items():
            setattr(context, name, value)
        if aspect:
            context.sample_aspect_ratio = aspect
        if interlaced:
            context.flags |= av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
        audio = container.add_stream(sound, rate=sound_rate, layout=sound_layout) if sound else None
        if audio:
            _write_beeps(container, audio, *sound_at)
        scaler = VideoReformatter()
        for k, seconds in enumerate(times):
            rgb = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
            frame = scaler.reformat(
                rgb,
                format=format,
                src_colorspace=1 if matrix == 5 else 5,
                dst_colorspace=matrix,
                dst_color_range=2 if full_range else 1,
            )
            frame.pts, frame.time_base = round(seconds / context.time_base), context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _write_beeps(container, stream, start: float, end: float) -> None:
    rate = stream.codec_context.sample_rate
    seconds = np.arange(round((end - start) * rate)) / rate
    beeps = np.where(seconds % 1 < 0.1, 0.5 * np.sin(6283 * seconds), 0).astype(np.float32)
    channels = stream.codec_context.channels
    for first in range(0, len(beeps), 1000):
        part = beeps[first : first + 1000]
        samples = np.ascontiguousarray(np.tile(part, (channels, 1)))
        frame = av.AudioFrame.from_ndarray(samples, "fltp", stream.codec_context.layout.name)
        frame.sample_rate, frame.time_base = rate, fractions.Fraction(1, rate)
        frame.pts = round(start * rate) + first
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def beeps_of(path: pathlib.Path) -> list[float]:
    """When beeps begin, in seconds from the first picture on."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time
    starts, quiet_since = [], -1.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = (
                frame.to_ndarray()
                .astype(float)
                .reshape(-1)[:: 1 if frame.format.is_planar else frame.layout.nb_channels]
            )
            samples = samples[: frame.samples] / (1 if "flt" in frame.format.name else 2**15)
            for place in np.flatnonzero(np.abs(samples) > 0.1):
                seconds = frame.time + place / frame.sample_rate - first
                if seconds - quiet_since > 0.05:
                    starts.append(round(float(seconds), 3))
                quiet_since = seconds
    return starts


def set_display_matrix(path: pathlib.Path, a: int, b: int, c: int, d: int) -> None:
    """Writes into an MP4 that (column, row) is shown at (a column + c row, b column + d row)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: flags, times and numbers, then the matrix
    rows = (a, b, 0, c, d, 0)
    for number, value in enumerate(rows):
        data[at + 4 * number : at + 4 * number + 4] = struct.pack(">i", value << 16)
    path.write_bytes(data)


def hide_sound_format(path: pathlib.Path) -> None:
    """Makes the AAC track of a MOV, the last track, one in a format that nothing can decode."""
    data = path.read_bytes()
    at = data.rindex(b"trak")
    path.write_bytes(data[:at] + data[at:].replace(b"mp4a", b"apac").replace(b"esds", b"dpac"))


def break_off(path: pathlib.Path, part: float) -> None:
    """Cuts a file; one whose index stands at the end becomes unreadable."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])


def damage_picture(path: pathlib.Path, number: int) -> None:
    """Overwrites the data of one picture, in the order of decoding, with noise."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        place, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(0).integers(0, 256, size - 8, np.uint8).tobytes()
    data[place + 8 : place + size] = noise
    path.write_bytes(data)
