"""Mean absolute difference where the face is, whatever the background does.

The face is the box round the landmarks that drove the frame: a mirrored or moved view of a photo
has a background that nobody could guess, but the same face.
"""

import numpy as np

from tf_talking.metrics import registry
from tf_talking.metrics.l1 import l1


@registry.register("face_l1", higher_is_better=False, needs=("landmarks",))
def face_l1(real: np.ndarray, fake: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] twice -> float64 [N], mean |real - fake| in the face, on the 0..1 scale.

    Args:
      real, fake: the frames.
      landmarks: float [N, P, 2] in pixels; NaN is given where the box is outside the frame.

    Raises:
      ValueError: as many landmarks as frames were expected.
    """
    if len(landmarks) != len(real):
        raise ValueError(f"face_l1: got {len(landmarks)} landmarks for {len(real)} frames")
    values = np.full(len(real), np.nan)
    for i, points in enumerate(np.asarray(landmarks)):
        left, top = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
        right, bottom = np.ceil(points.max(axis=0)).astype(int) + 1
        box = slice(i, i + 1), slice(top, max(bottom, 0)), slice(left, max(right, 0))
        if real[box].size:
            values[i] = l1(real[box], fake[box])[0]
    return values
