"""Self-attention over the positions of a feature map (Zhang et al. 2018, as in BigGAN)."""

import tensorflow as tf

from tf_talking.layers.input_typed import InputTypedLayer
from tf_talking.layers.spectral_conv2d import SpectralConv2D


class SelfAttention(InputTypedLayer):
    """x + gate · Conv(Attention(query(x), pool(key(x)), pool(value(x)))).

    1×1 convolutions under spectral norm: C/8 channels for query and key, C/2 for the value. Key
    and value are max-pooled 2×2. The gate is learned and starts at 0, so the layer starts as the
    identity.

    Reference: paper section 3.4, "self-attention blocks, following [2] and [42]".
    """

    def __init__(self, spectral_norm: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.spectral_norm = spectral_norm

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels < 8:
            raise ValueError(f"SelfAttention: got {channels} channels, expected at least 8")
        conv = dict(kernel_size=1, spectral_norm=self.spectral_norm)
        self.query = SpectralConv2D(channels // 8, name="query", **conv)
        self.key = SpectralConv2D(channels // 8, name="key", **conv)
        self.value = SpectralConv2D(channels // 2, name="value", **conv)
        self.output_conv = SpectralConv2D(channels, name="output_conv", **conv)
        self.query.build(input_shape)
        self.key.build(input_shape)
        self.value.build(input_shape)
        self.output_conv.build((*input_shape[:-1], channels // 2))
        self.gate = self.add_weight(name="gate", shape=(), initializer="zeros", trainable=True)
        self.built = True

    def call(self, x):
        """[B, H, W, C] → [B, H, W, C]; H and W even."""
        height, width, channels = x.shape[1:]
        positions = height * width
        query = tf.reshape(self.query(x), [-1, positions, channels // 8])
        key = tf.nn.max_pool2d(self.key(x), 2, 2, "VALID")
        key = tf.reshape(key, [-1, positions // 4, channels // 8])
        value = tf.nn.max_pool2d(self.value(x), 2, 2, "VALID")
        value = tf.reshape(value, [-1, positions // 4, channels // 2])
        scores = tf.cast(tf.matmul(query, key, transpose_b=True), tf.float32)  # [B, HW, HW/4]
        weights = tf.cast(tf.nn.softmax(scores), x.dtype)
        attended = tf.reshape(tf.matmul(weights, value), [-1, height, width, channels // 2])
        return x + tf.cast(self.gate, x.dtype) * self.output_conv(attended)
