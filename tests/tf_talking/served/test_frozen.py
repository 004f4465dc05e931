"""The frozen networks against the Keras ones, block by block and as a whole."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import bounds
from tf_talking.config import ModelConfig
from tf_talking.layers.residual_block import ResidualBlock
from tf_talking.layers.self_attention import SelfAttention
from tf_talking.layers.spectral_norm import power_iteration
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.served.frozen import RULES, WINOGRAD_CHANNELS, FrozenEmbedder, FrozenGenerator, _Ops, get_rule

CONFIG = ModelConfig(image_size=64, min_channels=8, max_channels=16, generator_bottleneck=8, num_residual_blocks=1)


def off_start(layer):
    """Biases, gates and scales away from where they start, σ up to date."""
    for index, weight in enumerate(layer.trainable_weights):
        noise = tf.random.stateless_normal(weight.shape, seed=[index, 1])
        weight.assign_add(0.2 * noise)
    power_iteration(layer, 5)
    return layer


def close(actual, expected):
    bounds.assert_close(actual, expected, fraction=bounds.NETWORK)


@pytest.mark.parametrize("device", sorted(RULES))
@pytest.mark.parametrize(
    "resample, norm",
    [
        (resample, norm)
        for resample in (None, "down", "up")
        for norm in (None, "instance", "adaptive")
        if (resample, norm) != ("up", "instance")  # no network has such a block
    ],
)
@pytest.mark.parametrize("channels", [12, WINOGRAD_CHANNELS])
def test_residual_block(device, resample, norm, channels):
    block = ResidualBlock(channels, resample=resample, norm=norm)
    block.build((None, 16, 16, channels))
    off_start(block)
    ops = _Ops(get_rule(device), "float32")
    x = tf.random.stateless_normal([1, 16, 16, channels], seed=[1, 2])
    pairs = [tuple(tf.random.stateless_normal([1, channels], seed=[i, j]) for j in range(2)) for i in range(2)]
    expected = block(x, pairs) if norm == "adaptive" else block(x)
    close(ops.residual_block(block, x, iter(pairs)), expected)


def test_attention():
    layer = SelfAttention()
    layer.build((None, 16, 16, 16))
    off_start(layer)
    x = tf.random.stateless_normal([2, 16, 16, 16], seed=[1, 2])
    close(_Ops(get_rule("cpu"), "float32").attention(layer, x), layer(x))
    assert abs(float(layer.gate)) > 0.01


def test_constant_maps_are_normalised_without_nan():
    ops = _Ops(get_rule("cpu"), "float32")
    x = tf.ones([1, 8, 8, 4])
    y = ops.norm_relu(x, tf.ones([1, 4]), tf.ones([1, 4]))
    np.testing.assert_array_equal(y, tf.ones_like(x))


@pytest.mark.parametrize("device", sorted(RULES))
@pytest.mark.parametrize("spectral_norm", [True, False])
def test_generator(device, spectral_norm):
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(CONFIG, spectral_norm=spectral_norm)
    generator = off_start(Generator(config))
    batch = 1 if get_rule(device).frame_by_frame else 3
    images = tf.random.stateless_uniform([batch, 64, 64, 3], seed=[1, 2], minval=-1.0)
    psi = tf.random.stateless_normal([batch, CONFIG.adain_size], seed=[3, 4])
    assert generator.attentions
    close(FrozenGenerator(generator, device)(images, psi), generator(images, psi))


@pytest.mark.parametrize("pooling", ["sum_relu", "relu_sum"])
def test_embedder(pooling):
    config = dataclasses.replace(CONFIG, pooling=pooling)
    embedder = off_start(Embedder(config))
    images = tf.random.stateless_uniform([2, 64, 64, 3], seed=[1, 2], minval=-1.0)
    drawn = tf.random.stateless_uniform([2, 64, 64, 3], seed=[5, 6], minval=-1.0)
    assert embedder.down.attention is not None
    close(FrozenEmbedder(embedder)(images, drawn), embedder(images, drawn))


def test_networks_without_attention():
    config = dataclasses.replace(CONFIG, attention=False)
    generator = off_start(Generator(config))
    images = tf.random.stateless_uniform([1, 64, 64, 3], seed=[1, 2], minval=-1.0)
    psi = tf.random.stateless_normal([1, config.adain_size], seed=[3, 4])
    close(FrozenGenerator(generator)(images, psi), generator(images, psi))


def test_unknown_device_and_type_are_named():
    with pytest.raises(ValueError, match="tpu"):
        get_rule("tpu")
    with pytest.raises(ValueError, match="int8"):
        FrozenGenerator(Generator(CONFIG), dtype="int8")
