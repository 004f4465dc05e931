"""Our Adams equal Keras' and tensorflow-addons', step by step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_addons as tfa

from training.updates.adam import Adam, RowAdam

STRATEGY = tf.distribute.get_strategy()


@pytest.mark.parametrize("beta_1", [0.0, 0.5])
def test_dense_adam_equals_keras(beta_1):
    rate = keras.optimizers.schedules.CosineDecay(0.1, 5)
    ours = [tf.Variable([1.0, -2.0, 3.0]), tf.Variable([[0.5]])]
    theirs = [tf.Variable(v) for v in ours]
    adam = Adam(ours, rate, beta_1, 0.9, 1e-5)
    reference = keras.optimizers.Adam(rate, beta_1, 0.9, 1e-5)
    for step in range(5):
        gradients = [tf.sin(v + step) for v in ours]
        adam.apply(STRATEGY, zip(gradients, ours, strict=True))
        reference.apply_gradients(zip([tf.sin(v + step) for v in theirs], theirs, strict=True))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)
    assert int(adam.iterations) == 5


def test_scale_multiplies_the_gradients():
    a, b = tf.Variable([1.0, 2.0]), tf.Variable([1.0, 2.0])
    gradient = tf.constant([1e-5, -3.0])
    Adam([a], 0.1, 0.0, 0.9, 1e-3).apply(STRATEGY, [(gradient * 8.0, a)], tf.constant(0.125))
    Adam([b], 0.1, 0.0, 0.9, 1e-3).apply(STRATEGY, [(gradient, b)])
    np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("beta_1", [0.0, 0.5])
def test_row_adam_equals_lazy_adam_with_repeated_rows(beta_1):
    start = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    ours, theirs = tf.Variable(start), tf.Variable(start)
    adam = RowAdam(ours, 0.1, beta_1, 0.9, 1e-5)
    reference = tfa.optimizers.LazyAdam(0.1, beta_1, 0.9, 1e-5)
    for step, index in enumerate([[0, 3, 3, 5], [3, 1, 3, 3], [5, 4, 0, 1]]):
        index = tf.constant(index)
        gradients = tf.random.stateless_normal([4, 3], seed=[step, 1])
        slices = tf.IndexedSlices(gradients, index, [6, 3])
        adam.apply(STRATEGY, [(slices, ours)])
        reference.apply_gradients([(slices, theirs)])
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ours[2], start[2])  # never drawn


def test_row_that_rests_keeps_its_moments():
    """Where dense Adam would let them decay and, with a first moment, go on moving the row."""
    table = tf.Variable(tf.ones([3, 2]))
    adam = RowAdam(table, 0.1, 0.5, 0.9, 1e-5)
    adam.apply(STRATEGY, [(tf.IndexedSlices(tf.ones([1, 2]), tf.constant([0])), table)])
    row, m, v = table[0].numpy(), adam.m[0].numpy(), adam.v[0].numpy()
    adam.apply(STRATEGY, [(tf.IndexedSlices(tf.ones([1, 2]), tf.constant([1])), table)])
    np.testing.assert_array_equal(table[0], row)
    np.testing.assert_array_equal(adam.m[0], m)
    np.testing.assert_array_equal(adam.v[0], v)
