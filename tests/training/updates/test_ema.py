"""Means follow what is trained; what is not trained is copied."""

import numpy as np
import pytest
import tensorflow as tf

from tests.replicas import two_replicas
from training.updates import ema

STRATEGY = tf.distribute.get_strategy()


def variables(*values):
    """The first is trained, the others are not."""
    return [tf.Variable(v, trainable=i == 0) for i, v in enumerate(values)]


def test_trained_weights_are_averaged_others_copied():
    copies, weights = variables([1.0], [1.0]), variables([2.0], [2.0])
    for _ in range(2):
        ema.follow(STRATEGY, copies, weights, 0.9)
    np.testing.assert_allclose(copies[0], [1.0 * 0.81 + 2.0 * 0.19])
    np.testing.assert_array_equal(copies[1], [2.0])
    np.testing.assert_array_equal(weights[0], [2.0])


@pytest.mark.parametrize(("updates", "decay"), [(0, 0.1), (8, 0.5), (1_000_000, 0.9)])
def test_warm_up_forgets_the_start_sooner(updates, decay):
    copies, weights = variables([1.0]), variables([0.0])
    ema.follow(STRATEGY, copies, weights, 0.9, tf.constant(updates, tf.int64))
    np.testing.assert_allclose(copies[0], [decay], rtol=1e-6)


def test_in_a_graph_of_two_replicas():
    strategy = two_replicas()
    with strategy.scope():
        copies, weights = variables([1.0]), variables([3.0])

    def step():
        tf.distribute.get_replica_context().merge_call(lambda strategy: ema.follow(strategy, copies, weights, 0.5))

    tf.function(lambda: strategy.run(step), autograph=False)()
    for copy in strategy.experimental_local_results(copies[0]):
        np.testing.assert_allclose(copy, [2.0])
