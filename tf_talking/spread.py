"""Which few of many: frames of a video, points of a curve, steps of a run."""

import numpy as np


def spread(count: int, wanted: int) -> np.ndarray:
    """Indices of `wanted` of `count` things, evenly over all of them; all where there are fewer.

    The first and the last one are among them, and none is there twice.
    """
    if count <= wanted:
        return np.arange(count)
    return np.linspace(0, count - 1, wanted).round().astype(int)
