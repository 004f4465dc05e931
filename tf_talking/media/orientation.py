"""How players turn, mirror and stretch the pictures of a video. No TensorFlow."""

import fractions

import av
import numpy as np
from av.sidedata.sidedata import Type

# Pixels longer than this in one direction are not meant: the file is damaged.
_LONGEST_PIXEL = 4


def turned(pixels: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """[H, W, 3] as the frame's display matrix has it: a quarter turn, a mirror, or both; [W, H, 3]
    if it lies on its side. Angles between are taken as the nearest of these."""
    matrix = _display_matrix(frame)
    if matrix is None:
        return pixels
    # (column, row) of the picture -> (a column + c row, b column + d row) of what is shown.
    (a, b), (c, d) = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels = pixels.swapaxes(0, 1)
        right, down = c, b
    else:
        right, down = a, d
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])


def _display_matrix(frame: av.VideoFrame) -> np.ndarray | None:
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return None
    # 3x3 of int32, row by row; the third column is that of a projection, the third row moves.
    matrix = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2].astype(float)
    return matrix if np.abs(matrix).sum() else None


def square_size(width: int, height: int, aspect: fractions.Fraction | None) -> tuple[int, int]:
    """(width, height) in pixels as wide as high: one of the two grows.

    Args:
      width, height: in pixels of the file.
      aspect: width of such a pixel by its height; None or 0: the file does not say.
    """
    if not aspect or not 1 / _LONGEST_PIXEL <= aspect <= _LONGEST_PIXEL:
        return width, height
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))
