"""Invariant 2: spectral norm's output and gradient equal an SVD reference."""

import numpy as np
import pytest
import tensorflow as tf

from tests import bounds
from tf_talking.layers.spectral_conv2d import SpectralConv2D
from tf_talking.layers.spectral_dense import SpectralDense
from tf_talking.layers.spectral_norm import power_iteration, spectral_layers


def make_layer(kind: str):
    tf.random.set_seed(3)
    if kind == "dense":
        layer, shape = SpectralDense(7), (4, 11)
    else:
        layer, shape = SpectralConv2D(5, 3), (2, 6, 6, 4)
    layer.build((None, *shape[1:]))
    return layer, tf.random.stateless_normal(shape, seed=[1, 2])


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_effective_kernel_has_largest_singular_value_1(kind):
    layer, _ = make_layer(kind)
    layer.power_iteration(200)
    matrix = tf.reshape(layer.normalized_kernel(), [-1, layer.kernel.shape[-1]])
    assert np.linalg.norm(matrix, 2) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_output_and_gradient_equal_svd_reference(kind):
    layer, x = make_layer(kind)
    layer.bias.assign(tf.random.stateless_normal(layer.bias.shape, seed=[5, 6]))
    layer.power_iteration(500)
    kernel = tf.Variable(layer.kernel)

    def reference():
        matrix = tf.reshape(kernel, [-1, kernel.shape[-1]])
        normalized = kernel / tf.linalg.svd(matrix, compute_uv=False)[0]
        if kind == "dense":
            return tf.matmul(x, normalized) + layer.bias
        return tf.nn.conv2d(x, normalized, 1, "SAME") + layer.bias

    with tf.GradientTape(persistent=True) as tape:
        ours, theirs = layer(x), reference()
        ours_loss, theirs_loss = tf.reduce_sum(ours**2), tf.reduce_sum(theirs**2)
    bounds.assert_close(ours, theirs, terms=9 * 4, depth=3)
    gradient = tape.gradient(ours_loss, layer.kernel)
    # u and v are as far off as rounding by the relative gap between the largest singular values.
    largest, next_one = np.linalg.svd(tf.reshape(kernel, [-1, kernel.shape[-1]]))[1][:2]
    fraction = bounds.sum_fraction(2 * 6 * 6, depth=6) / (1 - next_one / largest)
    bounds.assert_close(gradient, tape.gradient(theirs_loss, kernel), fraction=fraction)
    # The part that flows through σ: K/σ does not change when K is scaled.
    assert abs(float(tf.reduce_sum(gradient * layer.kernel))) < 1e-3


def test_calls_do_not_change_u_and_inference_is_frozen():
    layer, x = make_layer("conv")
    before = layer.u.numpy()
    layer(x)
    np.testing.assert_array_equal(before, layer.u)
    layer.kernel.assign_add(tf.ones_like(layer.kernel))
    layer.power_iteration()
    assert np.abs(before - layer.u.numpy()).max() > 1e-6


def test_u_and_v_are_not_trainable_and_stay_unit_vectors():
    layer, _ = make_layer("conv")
    layer.power_iteration(2)
    assert {id(w) for w in layer.trainable_weights} == {id(layer.kernel), id(layer.bias)}
    assert np.linalg.norm(layer.u) == pytest.approx(1.0, abs=1e-5)
    assert np.linalg.norm(layer.v) == pytest.approx(1.0, abs=1e-5)


def test_one_iteration_a_step_follows_a_moving_kernel():
    """σ̂ stays within 1 % while the kernel moves as in training."""
    layer, _ = make_layer("dense")
    layer.power_iteration(100)
    generator = np.random.default_rng(0)
    for _ in range(30):
        layer.kernel.assign_add(0.003 * generator.standard_normal(layer.kernel.shape))
        layer.power_iteration()
    assert float(layer.sigma()) == pytest.approx(np.linalg.norm(layer.kernel, 2), rel=1e-2)


def test_kernel_of_zeros_gives_no_nan():
    layer, x = make_layer("conv")
    layer.power_iteration()
    layer.kernel.assign(tf.zeros_like(layer.kernel))
    layer.power_iteration()
    assert np.isfinite(layer.u).all() and np.isfinite(layer.v).all()


def test_plain_layer_has_no_vectors():
    layer = SpectralConv2D(4, 3, spectral_norm=False)
    layer.build((None, 8, 8, 3))
    assert len(layer.weights) == 2
    assert not spectral_layers(layer)
    np.testing.assert_array_equal(layer.normalized_kernel(), layer.kernel)


def test_power_iteration_reaches_every_layer_of_a_network():
    from tf_talking.config import get_preset
    from tf_talking.networks.embedder import Embedder

    embedder = Embedder(get_preset("tiny").model)
    layers = spectral_layers(embedder)
    for layer in layers:
        layer.u.assign(tf.ones_like(layer.u) / layer.u.shape[0] ** 0.5)
    before = [layer.u.numpy() for layer in layers]
    power_iteration(embedder)
    # Every kernel of the network: 3 a block and 4 of the attention.
    assert len(layers) == 3 * len(embedder.config.plan().down) + 4
    moved = [np.abs(b - layer.u.numpy()).max() for b, layer in zip(before, layers, strict=True)]
    assert min(moved) > 0
