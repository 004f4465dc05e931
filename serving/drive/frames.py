"""What drives a talking head: a set of landmarks for each frame, in pixels of the S×S crop."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

# Items with `seconds` -> the items when they are due; some may be left out.
Pace = Callable[[Iterator], Iterator]


@dataclasses.dataclass(frozen=True)
class DrivingFrame:
    """What one frame drives.

    Attributes:
      seconds: when it is shown, from the source's first frame on.
      landmarks: float32 [P, 2].
      frame: the cropped frame, uint8 [S, S, 3], if there is one.
      held_because: where the landmarks are held, why.
    """

    seconds: float
    landmarks: np.ndarray
    frame: np.ndarray | None = None
    held_because: str | None = None


@dataclasses.dataclass(frozen=True)
class Driving:
    """A source that has been opened.

    Attributes:
      frames: makes the iterator; errors of reading and "no face at all" come from there.
      fps: frames per second, on average.
      num_frames: an estimate; 0 if unknown.
      audio: file whose sound goes with it, or None.
      damage: what of the source could not be read, a line each; filled while frames are made.
    """

    frames: Callable[[], Iterator[DrivingFrame]]
    fps: float
    num_frames: int
    audio: pathlib.Path | None = None
    damage: list[str] = dataclasses.field(default_factory=list)
