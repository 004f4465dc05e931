"""What drives a talking head: a set of landmarks for each frame, in pixels of the S×S crop."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

# (frames, frames per second) -> the frames when they are due; some may be left out.
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
