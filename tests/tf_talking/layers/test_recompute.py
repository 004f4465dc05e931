"""Recomputed activations: that they are; that nothing else changes is in tests/conformance."""

import tensorflow as tf

from tf_talking.layers.recompute import run_block
from tf_talking.layers.residual_block import ResidualBlock


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
