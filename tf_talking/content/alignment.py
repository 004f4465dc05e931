"""Faces aligned for a recogniser inside a graph: differentiable, and compiled by XLA.

A similarity transform takes five points (eyes, nose tip, mouth corners) nearest to ArcFace's
template in 112 x 112 pixels; a network of 96 pixels' width gets the middle. The same arithmetic
stands in NumPy and OpenCV in `tf_talking.metrics.face_recognition`, whose pictures are uint8.
"""

import tensorflow as tf

from tf_talking.content.arcface import SIDE, TEMPLATE


def five_points(landmarks: tf.Tensor) -> tf.Tensor:
    """iBUG points [B, P, 2] → left and right eye in the picture, nose tip, mouth corners."""
    eyes = [tf.reduce_mean(landmarks[:, a:b], axis=1) for a, b in ((36, 42), (42, 48))]
    return tf.stack([*eyes, landmarks[:, 30], landmarks[:, 48], landmarks[:, 54]], axis=1)


def align_faces(frames: tf.Tensor, landmarks: tf.Tensor, width: int = SIDE) -> tf.Tensor:
    """Aligned faces by bilinear look-up; what lies outside the frame is black (0).

    Args:
      frames: [B, H, W, 3], any float range.
      landmarks: float32 [B, P, 2], (x, y) in pixels of the frames.
      width: pixels, 112 or 96.

    Returns:
      [B, 112, width, 3] in the frames' range and type; its gradient goes to the frames alone.
    """
    landmarks = tf.stop_gradient(tf.cast(landmarks, tf.float32))
    template = tf.constant(TEMPLATE, tf.float32) - ((SIDE - width) / 2, 0.0)
    # Least squares from the frame to the template, as ArcFace's users do it. As complex numbers,
    # turning and scaling is one factor g; the look-up goes the other way, by 1 / g.
    points = five_points(landmarks)
    middle = tf.reduce_mean(points, axis=1, keepdims=True)
    template_middle = tf.reduce_mean(template, axis=0)
    a, b = template - template_middle, points - middle
    real = tf.reduce_sum(a * b, axis=[1, 2])
    imaginary = tf.reduce_sum(a[:, 0] * b[..., 1] - a[:, 1] * b[..., 0], axis=1)
    size = tf.reduce_sum(b**2, axis=[1, 2]) / tf.maximum(real**2 + imaginary**2, 1e-12)
    real, imaginary = ((part * size)[:, None, None] for part in (real, imaginary))
    x = tf.range(width, dtype=tf.float32)[None, None, :] - template_middle[0]
    y = tf.range(SIDE, dtype=tf.float32)[None, :, None] - template_middle[1]
    return look_up(
        frames, real * x - imaginary * y + middle[..., 0, None], imaginary * x + real * y + middle[..., 1, None]
    )


def look_up(frames: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Bilinear values of frames [B, H, W, C] at pixels x, y [B, h, w]; black outside."""
    height, width = frames.shape[1], frames.shape[2]
    left, top = tf.floor(x), tf.floor(y)
    right_share, lower_share = x - left, y - top
    result = 0.0
    for down in (0, 1):
        for right in (0, 1):
            column, row = left + right, top + down
            share = (right_share if right else 1.0 - right_share) * (lower_share if down else 1.0 - lower_share)
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            share = tf.where(inside, share, 0.0)
            column = tf.cast(tf.clip_by_value(column, 0.0, width - 1.0), tf.int32)
            row = tf.cast(tf.clip_by_value(row, 0.0, height - 1.0), tf.int32)
            pixels = tf.gather_nd(frames, tf.stack([row, column], axis=-1), batch_dims=1)
            result += pixels * tf.cast(share, frames.dtype)[..., None]
    return result
