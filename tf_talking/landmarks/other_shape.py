"""Landmarks as a face of another shape would have them: same pose, same expression.

What a landmark image tells of a person is the shape of their face. A generator that learns it
draws whoever has that shape: driven by others, the person changes (the paper's conclusion says
so). Twelve measures of a face are changed, each along its own axis and by its own spread among
grown-ups, some 4 to 10 % in anthropometric tables. A closed mouth stays closed, a closed eye
nearly so.
"""

import numpy as np
import tensorflow as tf

NUM_MEASURES = 12
_EYES_TO_RADIUS = 1.515  # distance of the eyes by the radius of the five points, of a frontal face


def _run(first: int, last: int) -> np.ndarray:
    return np.arange(first, last + 1)


_JAW, _BROWS, _NOSE, _NOSTRILS, _MOUTH = _run(0, 16), _run(17, 26), _run(27, 35), _run(31, 35), _run(48, 67)
_RIGHT_EYE, _LEFT_EYE = _run(36, 41), _run(42, 47)
_RIGHT_IRIS, _LEFT_IRIS = 68, 69  # of the gaze scheme


def other_shape(landmarks: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Changes the shape of one face.

    Args:
      landmarks: float32 [P, 2] in pixels, P 68 or 70.
      amounts: float32 [12], standard deviations: width of the face and of its jaw, length of the
        chin, distance, size and height of the eyes, height of the brows, length and width of the
        nose, place, width and height of the mouth. 0: as it is.

    Returns:
      float32 [P, 2].
    """
    eyes = [tf.reduce_mean(landmarks[a:b], axis=0) for a, b in ((36, 42), (42, 48))]
    five = tf.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]])
    middle = tf.reduce_mean(five, axis=0)
    unit = _EYES_TO_RADIUS * tf.sqrt(tf.reduce_mean(tf.reduce_sum((five - middle) ** 2, axis=1)))
    across = tf.math.l2_normalize(eyes[1] - eyes[0])
    axes = tf.stack([across, tf.stack([-across[1], across[0]])])  # rows: to the right, down
    local = tf.linalg.matmul(landmarks - middle, axes, transpose_b=True) / unit
    moved = local + _displacement(local, tf.unstack(amounts))
    return tf.linalg.matmul(moved, axes) * unit + middle


def _displacement(local: tf.Tensor, amounts: list[tf.Tensor]) -> tf.Tensor:
    """[P, 2] in distances of the eyes, of points in the face's own axes."""
    face, jaw, chin, apart, eye_size, eye_height, brows, nose, nostrils, place, mouth, lips = amounts
    x, y = tf.unstack(local, axis=-1)
    dx, dy = tf.zeros_like(x), tf.zeros_like(y)

    def on(points: np.ndarray, weights: np.ndarray | float = 1.0) -> np.ndarray:
        mask = np.zeros(local.shape[0], np.float32)
        mask[points] = weights
        return mask

    def off_centre(values: tf.Tensor, points: np.ndarray) -> tf.Tensor:
        return values - tf.reduce_mean(tf.gather(values, points))

    side = np.abs(np.linspace(-1.0, 1.0, len(_JAW)))  # 0 at the chin, 1 at the ears
    dx += x * (0.04 * face * on(_JAW) + 0.06 * jaw * on(_JAW, np.sin(np.pi * side)))
    dy += 0.06 * chin * on(_JAW, np.cos(np.pi / 2 * side) ** 2)
    for sign, eye, iris in ((-1.0, _RIGHT_EYE, _RIGHT_IRIS), (1.0, _LEFT_EYE, _LEFT_IRIS)):
        whole = on(np.append(eye, iris)) if local.shape[0] > iris else on(eye)
        dx += whole * (sign * 0.03 * apart + 0.06 * eye_size * off_centre(x, eye))
        dy += whole * (0.06 * eye_size + 0.08 * eye_height) * off_centre(y, eye)
    dx += 0.03 * apart * (on(_BROWS[5:]) - on(_BROWS[:5]))
    dy += 0.05 * brows * on(_BROWS)
    dy += on(_NOSE) * 0.08 * nose * (y - y[27])
    dx += on(_NOSTRILS) * 0.09 * nostrils * off_centre(x, _NOSTRILS)
    dx += on(_MOUTH) * 0.08 * mouth * off_centre(x, _MOUTH)
    dy += on(_MOUTH) * (0.04 * place + 0.12 * lips * off_centre(y, _MOUTH))
    return tf.stack([dx, dy], axis=-1)
