"""Adaptive instance normalisation (Huang and Belongie 2017)."""

import tensorflow as tf

from tf_talking.layers.input_typed import InputTypedLayer

EPSILON = 1e-4


class AdaIN(InputTypedLayer):
    """Normalises each channel of each image, then applies that image's own scale and shift.

    The layer has no weights: scale and shift come from ψ. Statistics are float32. `rsqrt(var +
    1e-4)` rather than a division by a standard deviation, whose gradient is NaN on constant maps
    (a landmark image is mostly constant).

    Reference: paper sections 3.1 and 3.4.
    """

    def call(self, x, shift, scale):
        """x [B, H, W, C], shift [B, C], scale [B, C] → [B, H, W, C]."""
        inputs = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(inputs, axes=[1, 2], keepdims=True)
        shift = tf.cast(shift, tf.float32)[:, tf.newaxis, tf.newaxis, :]
        scale = tf.cast(scale, tf.float32)[:, tf.newaxis, tf.newaxis, :]
        # One multiplication and one addition a pixel.
        scale = scale * tf.math.rsqrt(variance + EPSILON)
        return tf.cast(inputs * scale + (shift - mean * scale), x.dtype)
