"""Parts of a batch: gradients are summed, metrics averaged, the rest put together again."""

import numpy as np
import pytest
import tensorflow as tf

from training.updates.gradients import Gradients, accumulate_parts


def compute(batch, with_rows=True):
    """Sums of x, and x itself; the mean is the only metric."""
    x = batch["x"]
    rows = x[:, tf.newaxis] if with_rows else None
    metrics = {"mean": tf.reduce_mean(x), "first": x[0]}
    return Gradients([tf.reduce_sum(x)], [2.0 * tf.reduce_sum(x)], rows, {"fake": x + 1.0}, metrics)


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("with_rows", [True, False])
def test_parts_equal_the_whole(parts, with_rows):
    x = tf.constant([1.0, 2.0, 3.0, 10.0])
    function = tf.function(
        lambda x: accumulate_parts({"x": x}, parts, lambda part: compute(part, with_rows)), autograph=False
    )
    result = function(x)
    assert [float(g) for g in (*result.generator, *result.discriminator)] == [16.0, 32.0]
    np.testing.assert_array_equal(result.kept["fake"], x + 1.0)
    assert float(result.metrics["mean"]) == 4.0
    if with_rows:
        np.testing.assert_array_equal(result.rows, x[:, tf.newaxis])
    else:
        assert result.rows is None


def test_the_graph_does_not_grow_with_the_parts():
    def size(parts):
        function = tf.function(lambda x: accumulate_parts({"x": x}, parts, compute), autograph=False)
        return len(function.get_concrete_function(tf.TensorSpec([16])).graph.get_operations())

    assert size(16) == size(2)
