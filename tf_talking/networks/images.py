"""The two value ranges: uint8 RGB outside, float32 RGB in [-1, 1] inside the networks."""

import tensorflow as tf

from tf_talking.config import Config
from tf_talking.landmarks.rasterizer import rasterize


def to_float(images: tf.Tensor) -> tf.Tensor:
    """uint8 0..255 → float32 [-1, 1], any shape."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0


def to_uint8(images: tf.Tensor) -> tf.Tensor:
    """Float [-1, 1] → uint8 0..255, rounded, values outside clipped."""
    images = tf.clip_by_value(tf.cast(images, tf.float32), -1.0, 1.0)
    return tf.cast(tf.round((images + 1.0) * 127.5), tf.uint8)


def landmark_images(config: Config, landmarks: tf.Tensor) -> tf.Tensor:
    """Landmarks in pixels [..., P, 2] → landmark images as the networks take them, [..., S, S, 3].

    The one place where training, fine-tuning and the served graph turn points into pictures.
    """
    size, drawing = config.model.image_size, config.landmarks
    points = landmarks.shape[-2]
    images = rasterize(
        tf.reshape(landmarks, [-1, points, 2]),
        size,
        scheme=drawing.scheme,
        line_thickness=drawing.line_thickness,
        inner_lips=drawing.inner_lips,
    )
    leading = tf.shape(landmarks)[:-2]
    shape = tf.concat([leading, [size, size, 3]], axis=0)
    images = tf.reshape(to_float(images), shape)
    return tf.ensure_shape(images, [*landmarks.shape[:-2], size, size, 3])
