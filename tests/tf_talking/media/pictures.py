"""Pictures for the tests of what reads and writes them."""

import numpy as np

WIDTH, HEIGHT = 96, 64


def ramp(k: int) -> np.ndarray:
    """A picture with a direction: red grows to the right, green downwards, blue with time."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([x * 2, y * 3, np.full_like(x, 10 * k)], -1).astype(np.uint8)
