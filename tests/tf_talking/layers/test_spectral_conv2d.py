"""Folded convolutions equal what they fold: values and gradients, borders included."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import bounds
from tf_talking.layers.spectral_conv2d import FOLD_FROM, SpectralConv2D, box_widened

COMPOSITIONS = ["then_pool", "after_upsampling"]


def make(size, fold):
    keras.utils.set_random_seed(1)
    layer = SpectralConv2D(5, 3)
    layer.build((None, size, size, 4))
    layer.bias.assign([0.1, -0.2, 0.3, 0.0, 1.0])
    layer.fold = fold
    return layer


def run(layer, composition, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = getattr(layer, composition)(x)
        loss = tf.reduce_sum(tf.sin(y))
    return [y, *tape.gradient(loss, [x, layer.kernel, layer.bias])]


@pytest.mark.parametrize("composition", COMPOSITIONS)
@pytest.mark.parametrize("size", [FOLD_FROM // 2, FOLD_FROM, FOLD_FROM + 6])
def test_folded_equals_one_after_the_other(composition, size):
    x = tf.random.stateless_normal([2, size, size, 4], seed=[3, 4])
    folded = run(make(size, True), composition, x)
    plain = run(make(size, False), composition, x)
    for ours, theirs in zip(folded, plain, strict=True):
        bounds.assert_close(ours, theirs, terms=2 * size**2, depth=4)


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_folding_really_happens_on_large_maps_only(composition):
    """By the operations in the graph: one convolution of stride 2, and no pooling or broadcast."""

    def strides(size, fold):
        layer = make(size, fold)
        spec = tf.TensorSpec([2, size, size, 4])
        graph = tf.function(getattr(layer, composition)).get_concrete_function(spec).graph
        return [op.get_attr("strides")[1] for op in graph.get_operations() if op.type.startswith("Conv")]

    assert strides(FOLD_FROM, True) == [2]
    assert strides(FOLD_FROM, False) == [1]
    assert strides(FOLD_FROM // 2, True) == [1]


def test_box_widened_is_a_convolution_with_a_box():
    kernel = np.arange(9, dtype=np.float32).reshape(3, 3)
    expected = np.zeros((4, 4), np.float32)
    for dy in (0, 1):
        for dx in (0, 1):
            expected[dy : dy + 3, dx : dx + 3] += kernel
    wide = box_widened(tf.constant(kernel[:, :, None, None]))
    np.testing.assert_array_equal(wide[:, :, 0, 0], expected)
