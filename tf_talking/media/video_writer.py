"""H.264 video out of pictures and their times, with the sound of another file. No TensorFlow."""

import contextlib
import fractions
import os
import pathlib

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tf_talking.files import remove_abandoned, whole_file
from tf_talking.media import jpeg
from tf_talking.media.decoding import DEFAULT_FPS
from tf_talking.media.sound import Sound

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv")
_CLOCK = 90000  # ticks a second, as most video has: whole ones for all usual speeds
_BT709, _LIMITED_RANGE = 1, 1  # ITU-T H.273


def check_path(path: str | os.PathLike) -> None:
    """Whether a video can be written there, before there is any picture.

    Raises:
      ValueError: a folder, or a suffix other than `SUFFIXES`.
      FileNotFoundError: the folder does not exist.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder, expected the name of a video to write")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected a name that ends in one of {' '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist")


class VideoWriter:
    """Writes H.264 (yuv420p, plays everywhere); the file appears under its name when it is whole.

    with VideoWriter("out.mp4") as writer:
        writer.write(picture)  # uint8 [H, W, 3] RGB; the first one's size is the video's

    Leaving the block by an exception removes what was written so far.

    Attributes:
      num_frames: written so far.
      has_sound: whether the pictures have sound; known after the first one.
      sound_problem: what is wrong with the sound, one line; None: nothing.
    """

    def __init__(self, path: str | os.PathLike, fps: float = DEFAULT_FPS, sound: str | os.PathLike | None = None):
        """Opens nothing yet.

        Args:
          path: the file; see `check_path`.
          fps: frames per second, of pictures that come without times.
          sound: file whose sound goes with the pictures, if it has any that can be read, cut to
            their length. Its first picture and ours are shown at the same time.

        Raises:
          ValueError: speed that is not positive; and as `check_path`.
          FileNotFoundError: as `check_path`.
        """
        self.path, self.fps = pathlib.Path(path), fps
        if not fps > 0:
            raise ValueError(f"fps: got {fps}, expected a positive number")
        check_path(path)
        self.num_frames = 0
        self.has_sound = False
        self._sound_path = sound
        self._sound: Sound | None = None
        self._open_files = contextlib.ExitStack()
        self._shape: tuple[int, ...] | None = None
        self._start = 0.0  # time of the first picture
        self._last = 0  # ticks: when the newest picture is shown
        self._durations: dict[int, int] = {}  # by ticks, of pictures that the encoder holds

    def write(self, picture: np.ndarray, seconds: float | None = None) -> None:
        """Appends a picture uint8 [height, width, 3] RGB.

        Args:
          picture: of the first one's size; even numbers.
          seconds: when it is shown; the first one's time is the beginning of the video. None: when
            1 / fps has passed since the one before it.

        Raises:
          ValueError: the picture is of another size or type.
        """
        if self._shape is None:
            self._begin(picture)
            self._start = seconds or 0.0
            ticks = 0
        else:
            wanted = self._last + _CLOCK / self.fps if seconds is None else (seconds - self._start) * _CLOCK
            ticks = max(round(wanted), self._last + 1)
            self._durations[self._last] = ticks - self._last
        if picture.dtype != np.uint8 or picture.shape != self._shape:
            raise ValueError(
                f"frame {self.num_frames} for {self.path}: got {picture.dtype} {picture.shape}, "
                f"expected uint8 {self._shape}"
            )
        self._encode(self._frame(picture, ticks))
        self._last = ticks
        self.num_frames += 1
        if self._sound is not None:
            self._sound.write_until(ticks / _CLOCK)

    @property
    def sound_problem(self) -> str | None:
        return self._sound and self._sound.problem

    def _begin(self, picture: np.ndarray) -> None:
        jpeg.check_rgb(picture, f"frame 0 for {self.path}")
        height, width, _ = picture.shape
        if min(width, height) < 2 or width % 2 or height % 2:
            raise ValueError(f"{self.path}: got pictures of {width}x{height}, expected even numbers (yuv420p)")
        remove_abandoned(self.path)
        temporary = self._open_files.enter_context(whole_file(self.path))
        # Players can start before the whole file has arrived.
        options = {} if self.path.suffix.lower() == ".mkv" else {"movflags": "faststart"}
        self._container = self._open_files.enter_context(av.open(os.fspath(temporary), "w", options=options))
        rate = max(fractions.Fraction(self.fps).limit_denominator(1001), fractions.Fraction(1, 1001))
        self._stream = self._container.add_stream("libx264", rate=rate)
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = fractions.Fraction(1, _CLOCK)
        # force-cfr: the speed that players read in the pictures is `fps`, not the clock's; times
        # stay. No B-frames: containers get their length by the order of decoding, which would end
        # before the last picture where times are far apart.
        context.options = {"crf": "18", "preset": "veryfast", "x264-params": "force-cfr=1:bframes=0"}
        # Said, because players guess differently where nothing is.
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        self._to_yuv = VideoReformatter()
        if self._sound_path is not None:
            self._sound = self._open_files.enter_context(Sound(self._sound_path, self._container))
            self.has_sound = self._sound.found
        self._shape = picture.shape

    def _frame(self, picture: np.ndarray, ticks: int) -> av.VideoFrame:
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        # Another source matrix than the wanted one, or the scaler is told about neither.
        frame = self._to_yuv.reformat(rgb, format="yuv420p", src_colorspace=5, dst_colorspace=_BT709)
        frame.colorspace, frame.color_range = _BT709, _LIMITED_RANGE
        frame.pts, frame.time_base = ticks, fractions.Fraction(1, _CLOCK)
        return frame

    def _encode(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            packet.duration = self._durations.pop(packet.pts, 0)
            self._container.mux(packet)

    def _finish(self) -> None:
        if self.num_frames == 0:
            raise ValueError(f"{self.path}: no frame was written")
        last = max(round(_CLOCK / self.fps), 1)
        self._durations[self._last] = last
        self._encode(None)
        if self._sound is not None:
            self._sound.write_until((self._last + last) / _CLOCK)
            self._sound.finish()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is not None:
            self._open_files.__exit__(kind, error, trace)
            return
        with self._open_files:
            self._finish()
