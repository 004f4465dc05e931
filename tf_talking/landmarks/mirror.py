"""Faces seen in a mirror: the frame turned left to right, each point under its new name."""

import numpy as np
import tensorflow as tf


def _pairs(*runs: tuple[int, int]) -> dict[int, int]:
    """Points first … last and their mirror images, which go from last to first."""
    return {first + i: last - i for first, last in runs for i in range(last - first + 1)}


# Which point stands for which in a mirrored face; the gaze scheme adds an iris for each eye.
_MIRRORED = _pairs((0, 16), (17, 26), (31, 35), (48, 54), (55, 59), (60, 64), (65, 67), (68, 69))
_MIRRORED |= {36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46}
_MIRRORED |= {there: here for here, there in _MIRRORED.items()}


def mirror_order(num_points: int) -> np.ndarray:
    """int [P]: which point of a face takes which place when it is mirrored; P is 68 or 70.

    Raises:
      ValueError: another number of points.
    """
    if num_points not in (68, 70):
        raise ValueError(f"got {num_points} landmarks, expected 68 or 70")
    return np.array([_MIRRORED.get(i, i) for i in range(num_points)])


def mirror(frames: tf.Tensor, landmarks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Frames uint8 [N, S, S, 3] and landmarks float32 [N, P, 2] in pixels, left to right."""
    turned = tf.gather(landmarks, mirror_order(landmarks.shape[1]), axis=1)
    x, y = tf.unstack(turned, axis=-1)
    last = tf.cast(tf.shape(frames)[2] - 1, tf.float32)
    return tf.reverse(frames, [2]), tf.stack([last - x, y], -1)
