"""Invariant 3 for AdaIN: equals NumPy, finite gradients on constant maps."""

import numpy as np
import tensorflow as tf

from tests import bounds
from tf_talking.layers.adain import AdaIN


def test_equals_numpy_reference_with_people_mixed_in_a_batch():
    generator = np.random.default_rng(0)
    x = generator.normal(2.0, 3.0, (3, 5, 7, 4)).astype(np.float32)
    shift, scale = generator.normal(size=(2, 3, 4)).astype(np.float32)
    mean = x.mean((1, 2), keepdims=True)
    variance = x.var((1, 2), keepdims=True)
    expected = (x - mean) / np.sqrt(variance + 1e-4) * scale[:, None, None] + shift[:, None, None]
    bounds.assert_close(AdaIN()(x, shift, scale), expected, terms=5 * 7, depth=3)


def test_output_has_the_given_mean_and_deviation():
    x = tf.random.stateless_normal([1, 64, 64, 2], seed=[0, 1]) * 5.0 + 3.0
    y = AdaIN()(x, tf.constant([[1.0, -2.0]]), tf.constant([[0.5, 3.0]])).numpy()
    np.testing.assert_allclose(y.mean((0, 1, 2)), [1.0, -2.0], atol=1e-4)
    np.testing.assert_allclose(y.std((0, 1, 2)), [0.5, 3.0], atol=1e-3)


def test_gradient_is_finite_on_constant_maps():
    x = tf.Variable(tf.fill([2, 8, 8, 3], -1.0))
    shift, scale = tf.Variable(tf.zeros([2, 3])), tf.Variable(tf.ones([2, 3]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(AdaIN()(x, shift, scale)))
    for gradient in tape.gradient(loss, [x, shift, scale]):
        assert np.isfinite(gradient).all()


def test_half_precision_input_keeps_float32_statistics():
    x = tf.random.stateless_normal([1, 16, 16, 1], seed=[0, 1]) + 100.0
    shift, scale = tf.zeros([1, 1]), tf.ones([1, 1])
    rounded = tf.cast(x, tf.bfloat16)
    expected = AdaIN()(tf.cast(rounded, tf.float32), shift, scale)
    y = AdaIN()(rounded, shift, scale)
    assert y.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(y, tf.float32), expected, atol=0.02)
