"""The residual block: shapes, parameters, what its options mean, gradients on constant maps."""

import numpy as np
import pytest
import tensorflow as tf

from tests import bounds
from tf_talking.layers.residual_block import ResidualBlock, upsample_nearest


def build(channels, filters, **options):
    block = ResidualBlock(filters, **options)
    block.build((None, 8, 8, channels))
    return block


@pytest.mark.parametrize(("resample", "size"), [(None, 8), ("down", 4), ("up", 16)])
def test_output_shape(resample, size):
    assert build(4, 6, resample=resample)(tf.zeros([2, 8, 8, 4])).shape == [2, size, size, 6]


def test_skip_is_a_convolution_only_where_the_shape_changes():
    assert build(4, 4).skip is None
    assert build(4, 5).skip is not None
    assert build(4, 4, resample="down").skip is not None
    assert build(4, 4, resample="up").skip is not None


def test_bias_only_in_blocks_without_norm():
    assert build(4, 4).conv1.use_bias and build(4, 4).conv2.use_bias
    for norm in ("instance", "adaptive"):
        block = build(4, 6, norm=norm)
        assert not block.conv1.use_bias and not block.conv2.use_bias
        assert block.skip.use_bias


def test_first_block_sees_negative_values():
    """No leading ReLU: an image's dark half must reach the first convolution."""
    x = -tf.random.stateless_uniform([1, 8, 8, 3], seed=[1, 2])
    first, later = build(3, 3, first=True), build(3, 3)
    expected = first.conv2(tf.nn.relu(first.conv1(x))) + x
    bounds.assert_close(first(x), expected, terms=9 * 3, depth=3)
    assert np.abs(first(x) - x).max() > 1e-3  # the branch is alive
    assert first.norm1 is None
    y = later(x)  # relu(x) = 0, biases 0: only the skip is left
    np.testing.assert_allclose(y, x, atol=1e-6)


def test_down_block_equals_its_definition():
    block = build(3, 5, resample="down")
    x = tf.random.stateless_normal([2, 8, 8, 3], seed=[1, 2])
    y = block.conv2(tf.nn.relu(block.conv1(tf.nn.relu(x))))
    expected = tf.nn.avg_pool2d(y + block.skip(x), 2, 2, "VALID")
    bounds.assert_close(block(x), expected, terms=9 * 5, depth=3)


def test_up_block_equals_its_definition():
    block = build(3, 5, resample="up", norm="adaptive")
    x = tf.random.stateless_normal([2, 8, 8, 3], seed=[1, 2])
    params = [(tf.ones([2, c]) * 0.1, tf.ones([2, c]) * 1.5) for c in (3, 5)]
    up = lambda t: tf.image.resize(t, [16, 16], "nearest")  # noqa: E731
    y = block.conv1(up(tf.nn.relu(block.norm1(x, *params[0]))))
    y = block.conv2(tf.nn.relu(block.norm2(y, *params[1])))
    bounds.assert_close(block(x, params), y + block.skip(up(x)), terms=16 * 16, depth=4)


def test_upsample_is_nearest():
    x = tf.random.stateless_normal([2, 3, 5, 2], seed=[1, 2])
    np.testing.assert_array_equal(upsample_nearest(x), tf.image.resize(x, [6, 10], "nearest"))


@pytest.mark.parametrize("norm", [None, "instance", "adaptive"])
def test_gradients_are_finite_on_constant_input(norm):
    block = build(4, 4, norm=norm)
    params = [(tf.zeros([1, 4]), tf.ones([1, 4]))] * 2 if norm == "adaptive" else None
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(block(tf.fill([1, 8, 8, 4], 0.5), params)))
    for gradient in tape.gradient(loss, block.trainable_weights):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("option", [{"resample": "sideways"}, {"norm": "batch"}])
def test_unknown_option_is_an_error(option):
    with pytest.raises(ValueError, match=next(iter(option.values()))):
        ResidualBlock(4, **option)
