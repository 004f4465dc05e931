"""Pictures beside and below each other, and at another size: uint8 [H, W, 3]."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np


def scaled(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture at another size: down by areas, up by cubic interpolation."""
    if picture.shape[:2] == (height, width):
        return picture
    method = cv2.INTER_AREA if picture.shape[1] > width else cv2.INTER_CUBIC
    return cv2.resize(picture, (width, height), interpolation=method)


def beside(pictures: Sequence[np.ndarray | None]) -> np.ndarray:
    """One row, from left to right: None is left out, all get the size of the last one."""
    height, width = pictures[-1].shape[:2]
    shown = [scaled(picture, width, height) for picture in pictures if picture is not None]
    return np.concatenate(shown, axis=1)


def grid(rows: Iterable[Sequence[np.ndarray | None]]) -> np.ndarray:
    """Rows of pictures, one below the other; all rows equally wide."""
    return np.concatenate([beside(row) for row in rows])
