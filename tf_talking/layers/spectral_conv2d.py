"""Convolution with a spectrally normalised kernel."""

import tensorflow as tf

from tf_talking.layers.spectral_norm import SpectralNorm


class SpectralConv2D(SpectralNorm):
    """k×k convolution, stride 1, zero padding "SAME", NHWC.

    Args:
      filters: output channels.
      kernel_size: k, in pixels.
      use_bias: adds a bias per output channel, which is not normalised.
    """

    def __init__(self, filters: int, kernel_size: int, use_bias: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.use_bias = use_bias

    def build(self, input_shape):
        self._build_kernel((self.kernel_size, self.kernel_size, input_shape[-1], self.filters))
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.filters,), initializer="zeros", trainable=True
            )
        self.built = True

    def call(self, x):
        """[B, H, W, in] → [B, H, W, filters]."""
        # "SAME", never explicit pads: their gradient leaves oneDNN on CPU.
        y = tf.nn.conv2d(x, self.normalized_kernel(), strides=1, padding="SAME")
        return tf.nn.bias_add(y, tf.cast(self.bias, y.dtype)) if self.use_bias else y
