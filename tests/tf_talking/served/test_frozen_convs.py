"""Each rewritten convolution against the operations it stands for, one after the other."""

import numpy as np
import pytest
import tensorflow as tf

from tests import bounds
from tf_talking.layers.spectral_conv2d import upsample_nearest
from tf_talking.served import frozen_convs

SIZES = [8, 16, 32]  # small maps and large ones take different ways


def case(size, channels=5, out=7, batch=1, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(batch, size, size, channels)).astype(np.float32)
    kernel = generator.normal(size=(3, 3, channels, out)).astype(np.float32)
    bias = generator.normal(size=out).astype(np.float32)
    return tf.constant(x), kernel, bias


def plain(x, kernel, bias=None):
    y = tf.nn.conv2d(x, kernel, 1, "SAME")
    return y if bias is None else y + bias


def close(actual, expected):
    # Winograd's transforms add up to 16 inputs before they multiply.
    bounds.assert_close(actual, expected, terms=16 * 9 * 5)


@pytest.mark.parametrize("size", SIZES)
def test_winograd(size):
    x, kernel, _ = case(size)
    close(frozen_convs.convolve_winograd(x, kernel), plain(x, kernel))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_pooling_behind(size, batch):
    x, kernel, bias = case(size, batch=batch)
    expected = tf.nn.avg_pool2d(plain(x, kernel, bias), 2, 2, "VALID")
    close(frozen_convs.convolve_then_pool(x, kernel, bias), expected)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_upsampling_before(size, batch):
    x, kernel, _ = case(size, batch=batch)
    close(frozen_convs.convolve_after_upsample(x, kernel), plain(upsample_nearest(x), kernel))


def test_both_ways_of_upsampling_are_taken():
    def operations(size):
        x, kernel, _ = case(size)
        function = tf.function(lambda: frozen_convs.convolve_after_upsample(x, kernel))
        return {op.type for op in function.get_concrete_function().graph.get_operations()}

    assert "Conv2DBackpropInput" not in operations(frozen_convs.PHASES_UP_TO)
    assert "Conv2DBackpropInput" in operations(2 * frozen_convs.PHASES_UP_TO)


@pytest.mark.parametrize("batch", [1, 3])
def test_to_image(batch):
    x, kernel, bias = case(16, out=3, batch=batch)
    close(frozen_convs.convolve_to_image(x, kernel, bias), plain(x, kernel, bias))


@pytest.mark.bfloat16
def test_constants_take_the_type_of_the_activations():
    x, kernel, bias = case(8)
    y = frozen_convs.convolve_then_pool(tf.cast(x, tf.bfloat16), kernel, bias)
    assert y.dtype == tf.bfloat16
