"""Recomputed activations: same values and gradients, under a tape of chosen variables too."""

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config import get_preset
from tf_talking.layers.recompute import run_block
from tf_talking.layers.residual_block import ResidualBlock


@pytest.mark.parametrize("norm", [None, "adaptive"])
def test_equal_values_and_gradients(norm):
    tf.random.set_seed(2)
    block = ResidualBlock(6, norm=norm)
    block.build((None, 8, 8, 4))
    x = tf.random.stateless_normal([2, 8, 8, 4], seed=[1, 2])
    params = [(tf.ones([2, c]) * 0.3, tf.ones([2, c]) * 1.5) for c in (4, 6)] if norm else None

    @tf.function
    def run(recompute):
        sources = [x, *block.trainable_variables, *(tf.nest.flatten(params) if params else [])]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            y = run_block(block, recompute, x, params)
            loss = tf.reduce_sum(tf.sin(y))
        return [y, *tape.gradient(loss, sources)]

    for ours, theirs in zip(run(True), run(False), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_forward_pass_really_runs_twice():
    block = ResidualBlock(4)
    block.build((None, 8, 8, 4))

    def convolutions(recompute):
        @tf.function
        def step(x):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(block.trainable_variables)
                loss = tf.reduce_sum(run_block(block, recompute, x))
            return tape.gradient(loss, block.trainable_variables)

        graph = step.get_concrete_function(tf.TensorSpec([1, 8, 8, 4])).graph
        return sum(op.type == "Conv2D" for op in graph.get_operations())

    assert (convolutions(False), convolutions(True)) == (2, 4)


def test_networks_take_the_option():
    from tf_talking.networks.discriminator import DiscriminatorFeatures
    from tf_talking.networks.embedder import Embedder
    from tf_talking.networks.generator import Generator, neutral_adain_params

    config = get_preset("tiny").model
    x = tf.random.stateless_uniform([1, 64, 64, 3], seed=[1, 2], minval=-1, maxval=1)
    psi = neutral_adain_params(config)[np.newaxis]
    for network, arguments in (
        (Embedder, (x, x)),
        (DiscriminatorFeatures, (x, x)),
        (Generator, (x, psi)),
    ):
        plain, ours = network(config), network(config, recompute=True)
        ours.set_weights(plain.get_weights())
        for a, b in zip(
            tf.nest.flatten(ours(*arguments)), tf.nest.flatten(plain(*arguments)), strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-5)
