"""Invariant 3 for self-attention: equals NumPy, starts as the identity, finite gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tests import bounds
from tf_talking.layers.self_attention import SelfAttention
from tf_talking.layers.spectral_norm import power_iteration


def make(channels=16, size=4):
    tf.random.set_seed(0)
    layer = SelfAttention()
    layer.build((None, size, size, channels))
    power_iteration(layer, 20)
    return layer


def numpy_reference(layer, x):
    def conv(part, values):
        kernel = part.normalized_kernel().numpy()[0, 0]
        return values @ kernel + part.bias.numpy()

    def pool(values):
        b, h, w, c = values.shape
        return values.reshape(b, h // 2, 2, w // 2, 2, c).max((2, 4))

    b, h, w, _ = x.shape
    query = conv(layer.query, x).reshape(b, h * w, -1)
    key = pool(conv(layer.key, x)).reshape(b, h * w // 4, -1)
    value = pool(conv(layer.value, x)).reshape(b, h * w // 4, -1)
    scores = query @ key.transpose(0, 2, 1)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    attended = (weights @ value).reshape(b, h, w, -1)
    return x + layer.gate.numpy() * conv(layer.output_conv, attended)


def test_equals_numpy_reference():
    layer = make()
    layer.gate.assign(0.7)
    for part in (layer.query, layer.key, layer.value, layer.output_conv):
        part.bias.assign(tf.random.stateless_normal(part.bias.shape, seed=[1, 1]))
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 16)).astype(np.float32)
    expected = numpy_reference(layer, x)
    assert np.abs(expected - x).max() > 0.1  # the attention does something here
    bounds.assert_close(layer(x), expected, terms=16, depth=6)


def test_starts_as_the_identity_and_the_gate_learns():
    layer = make()
    x = tf.random.stateless_normal([1, 4, 4, 16], seed=[2, 3])
    with tf.GradientTape() as tape:
        y = layer(x)
        loss = tf.reduce_sum(y**2)
    np.testing.assert_array_equal(y, x)
    assert abs(float(tape.gradient(loss, layer.gate))) > 0


def test_gradients_are_finite_on_constant_input():
    layer = make()
    layer.gate.assign(1.0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.fill([1, 4, 4, 16], -1.0)) ** 2)
    for gradient in tape.gradient(loss, layer.trainable_weights):
        assert np.isfinite(gradient).all()


def test_too_few_channels_is_an_error():
    with pytest.raises(ValueError, match="4 channels"):
        SelfAttention().build((None, 8, 8, 4))
