"""Fully connected layer with a spectrally normalised kernel."""

import tensorflow as tf

from tf_talking.layers.spectral_norm import SpectralNorm


class SpectralDense(SpectralNorm):
    """y = x·K/σ + bias.

    Args:
      units: length of the output.
      bias_initializer: Keras initializer of the bias.
    """

    def __init__(self, units: int, bias_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.bias_initializer = bias_initializer

    def build(self, input_shape):
        self._build_kernel((input_shape[-1], self.units))
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer=self.bias_initializer, trainable=True)
        self.built = True

    def call(self, x):
        """[B, in] → [B, units]."""
        y = tf.linalg.matmul(x, tf.cast(self.normalized_kernel(), x.dtype))
        return y + tf.cast(self.bias, y.dtype)
