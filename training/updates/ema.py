"""Running means of trained weights: what is previewed, evaluated and exported."""

from collections.abc import Sequence

import tensorflow as tf


def follow(
    strategy,
    copies: Sequence[tf.Variable],
    weights: Sequence[tf.Variable],
    decay: float,
    updates: tf.Tensor | None = None,
) -> None:
    """Takes the weights of now into their means, in cross-replica context.

    Args:
      strategy: a tf.distribute strategy.
      copies: the means.
      weights: as many. Those that are not trained are copied: u and v of spectral norm are
        directions, not averages.
      decay: share of the mean that stays.
      updates: number of updates before, where the mean shall warm up: `decay` is then at most
        (1 + updates) / (10 + updates), and the start is forgotten sooner. None: `decay` throughout.
    """
    if updates is not None:
        updates = tf.cast(updates, tf.float32)
        decay = tf.minimum(decay, (1.0 + updates) / (10.0 + updates))
    rest = 1.0 - decay

    def average(copy, weight):
        copy.assign_sub(rest * (copy - weight))

    def assign(copy, weight):
        copy.assign(weight)

    for copy, weight in zip(copies, weights, strict=True):
        update = average if weight.trainable else assign
        strategy.extended.update(copy, update, args=(weight,), group=False)
