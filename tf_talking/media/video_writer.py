"""H.264 video out of pictures, with the sound of another file. No TensorFlow."""

import contextlib
import fractions
import os
import pathlib

import av
import numpy as np

from tf_talking.files import whole_file
from tf_talking.media import jpeg
from tf_talking.media.sound import Sound
from tf_talking.media.video_reader import DEFAULT_FPS


class VideoWriter:
    """Writes H.264 (yuv420p, plays everywhere); the file appears under its name when it is whole.

    with VideoWriter("out.mp4") as writer:
        writer.write(picture)  # uint8 [H, W, 3] RGB; the first one's size is the video's

    Leaving the block by an exception removes what was written so far.

    Attributes:
      num_frames: written so far.
      has_sound: whether the pictures have sound; known after the first one.
    """

    def __init__(self, path: str | os.PathLike, fps: float = DEFAULT_FPS, sound: str | os.PathLike | None = None):
        """Opens nothing yet.

        Args:
          path: the file; its suffix names the container (.mp4, .mkv, .mov).
          fps: frames per second.
          sound: file whose sound goes with the pictures, if it has any, cut to their length. It is
            not encoded again unless mp4 can not hold it.

        Raises:
          ValueError: speed that is not positive.
          FileNotFoundError: the folder does not exist.
        """
        self.path, self.fps = pathlib.Path(path), fps
        if not fps > 0:
            raise ValueError(f"fps: got {fps}, expected a positive number")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"{path}: the folder {self.path.parent} does not exist")
        self.num_frames = 0
        self.has_sound = False
        self._sound_path = sound
        self._sound: Sound | None = None
        self._open_files = contextlib.ExitStack()
        self._shape: tuple[int, ...] | None = None

    def write(self, picture: np.ndarray, seconds: float | None = None) -> None:
        """Appends a picture uint8 [height, width, 3] RGB.

        Args:
          picture: of the first one's size; even numbers.
          seconds: when it is shown, from the first one on. The speed stays: where the picture is
            late, it also takes the places of those that are missing. None: it is the next one.

        Raises:
          ValueError: the picture is of another size or type, or the sound can not be read.
        """
        if self._shape is None:
            self._begin(picture)
        if picture.dtype != np.uint8 or picture.shape != self._shape:
            raise ValueError(
                f"frame {self.num_frames} for {self.path}: got {picture.dtype} {picture.shape}, "
                f"expected uint8 {self._shape}"
            )
        places = 1 if seconds is None else round(seconds * self.fps) + 1 - self.num_frames
        for _ in range(max(places, 1)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            self._container.mux(self._stream.encode(frame))
            self.num_frames += 1
        if self._sound is not None:
            self._sound.write_until(self.num_frames / self.fps)

    def _begin(self, picture: np.ndarray) -> None:
        jpeg.check_rgb(picture, f"frame 0 for {self.path}")
        height, width, _ = picture.shape
        if min(width, height) < 2 or width % 2 or height % 2:
            raise ValueError(f"{self.path}: got pictures of {width}x{height}, expected even numbers (yuv420p)")
        temporary = self._open_files.enter_context(whole_file(self.path))
        # Players can start before the whole file has arrived.
        early = self.path.suffix.lower() in (".mp4", ".mov", ".m4v")
        options = {"movflags": "faststart"} if early else {}
        self._container = self._open_files.enter_context(av.open(os.fspath(temporary), "w", options=options))
        rate = fractions.Fraction(self.fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "18", "preset": "veryfast"}
        if self._sound_path is not None:
            sound = Sound(self._sound_path, self._container)
            self._sound = self._open_files.enter_context(sound)
            self.has_sound = sound.found
        self._shape = picture.shape

    def _finish(self) -> None:
        if self.num_frames == 0:
            raise ValueError(f"{self.path}: no frame was written")
        self._container.mux(self._stream.encode())
        if self._sound is not None:
            self._sound.finish()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is not None:
            self._open_files.__exit__(kind, error, trace)
            return
        with self._open_files:
            self._finish()
