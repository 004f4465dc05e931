"""VoxCeleb's face boxes: the text files that say in which frames of a video the speaker's face is.

    Identity  : 	id00017
    Reference : 	7t6lfzvVaTM
    Offset    : 	1
    FV Conf   : 	16.647	(1)
    ASD Conf  : 	4.465

    FRAME 	X 	Y 	W 	H
    000245 	0.392 	0.223 	0.253 	0.451

FRAME counts the frames of the whole video at 25 a second. VoxCeleb2's boxes are parts (0 to 1) of
its width and height; VoxCeleb1's are pixels of the video at a height of 360. No TensorFlow.
"""

import dataclasses
import math
import os
from collections.abc import Sequence

import numpy as np

from tf_talking.extraction.tables import read_text

FPS = 25
PIXEL_HEIGHT = 360  # of the frames that boxes in pixels refer to

_COLUMNS = ["FRAME", "X", "Y", "W", "H"]


@dataclasses.dataclass(frozen=True)
class FaceBoxes:
    """Boxes of one face in some frames.

    Attributes:
      numbers: FRAME of each box, ascending.
      boxes: float32 [N, 4], (x, y, width, height) as in the file.
      relative: parts of the frame (VoxCeleb2), or pixels (VoxCeleb1).
    """

    numbers: np.ndarray
    boxes: np.ndarray
    relative: bool

    def in_pixels(self, row: int, width: int, height: int) -> np.ndarray:
        """Box number `row`, float32 [4], in a frame of that size; pixel centres at integers."""
        scale = (width, height) if self.relative else (height / PIXEL_HEIGHT,) * 2
        box = self.boxes[row] * np.tile(np.array(scale, np.float32), 2)
        box[:2] -= 0.5
        return box


def read_boxes(path: str | os.PathLike) -> FaceBoxes:
    """Reads one file.

    Raises:
      ValueError: naming the file and the line that is not as above.
    """
    try:
        lines = read_text(path).splitlines()
    except OSError as error:
        raise ValueError(f"{path}: can not be read: {error}") from None
    starts = [n for n, line in enumerate(lines) if line.split() == _COLUMNS]
    if not starts:
        raise ValueError(f"{path}: no line {' '.join(_COLUMNS)!r}, as VoxCeleb's box files have")
    rows = []
    for number, line in enumerate(lines[starts[0] + 1 :], starts[0] + 2):
        if line.strip():
            rows.append(_row(path, number, line))
            if len(rows) > 1 and rows[-1][0] <= rows[-2][0]:
                raise ValueError(f"{path}, line {number}: frame numbers must ascend: {line!r}")
    if not rows:
        raise ValueError(f"{path}: it lists no frame")
    table = np.array(rows)
    # A face has more than one pixel, and at most the whole frame.
    relative = bool((table[:, 3:] <= 1).all())
    return FaceBoxes(table[:, 0].astype(int), table[:, 1:].astype(np.float32), relative)


def _row(path, number: int, line: str) -> tuple[float, ...]:
    words = line.split()
    try:
        row = (int(words[0]), *map(float, words[1:]))
    except ValueError:
        row = ()
    if len(row) != 5 or not all(map(math.isfinite, row)) or min(row[3:]) <= 0:
        raise ValueError(f"{path}, line {number}: got {line!r}, expected a frame number and X Y W H, W and H positive")
    return row


class WantedFrames:
    """Which frames of a file are in the box files, and where the face is in them.

    Args:
      tracks: the file's boxes.
      whole_video: the file is the whole video, and FRAME tells the time; else it is the clip
        that the (one) track describes, from its first frame on.
    """

    def __init__(self, tracks: Sequence[FaceBoxes], whole_video: bool):
        self._whole = whole_video
        self._places = {
            int(number) if whole_video else row: (track, row)
            for track in tracks
            for row, number in enumerate(track.numbers)
        }
        self._last = max(self._places)

    def __len__(self) -> int:
        """Frames that are listed."""
        return len(self._places)

    def _key(self, number: int, seconds: float) -> int:
        return round(seconds * FPS) if self._whole else number

    def has(self, number: int, seconds: float) -> bool:
        """Whether frame `number` (from 0) at that time is listed."""
        return self._key(number, seconds) in self._places

    def ended(self, number: int, seconds: float) -> bool:
        """Whether no frame after this one is listed."""
        return self._key(number, seconds) >= self._last

    def box(self, number: int, seconds: float, width: int, height: int) -> np.ndarray:
        """Box (x, y, width, height) in pixels. Raises KeyError for a frame that is not listed."""
        track, row = self._places[self._key(number, seconds)]
        return track.in_pixels(row, width, height)
