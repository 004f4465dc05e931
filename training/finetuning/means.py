"""Means over an epoch of what a training step reports."""

import keras
import tensorflow as tf

_MOST = 64  # names; a step of fine-tuning has some fifteen


class MeansByName(keras.metrics.Metric):
    """The mean of every value that `update_state` is given under a name.

    Its variables are there before any value is known by name: variables that a step makes while it
    is traced have Keras' `fit` trace it a second time, which takes as long again.
    """

    def __init__(self, name: str = "means"):
        super().__init__(name=name, dtype="float32")
        self._names: list[str] = []
        self._totals = self.add_weight(name="totals", shape=(_MOST,), initializer="zeros")
        self._count = self.add_weight(name="count", shape=(), initializer="zeros")

    def update_state(self, values: dict[str, tf.Tensor]) -> None:
        """Takes one step's scalars.

        Raises:
          ValueError: other names than at first, or more than there is room for.
        """
        names = sorted(values)
        if not self._names and len(names) <= _MOST:
            self._names = names
        if names != self._names:
            raise ValueError(f"means of {names}: expected {list(self._names) or f'at most {_MOST} names'}")
        row = tf.stack([tf.cast(values[name], tf.float32) for name in names])
        self._totals.assign_add(tf.pad(row, [[0, _MOST - len(names)]]))
        self._count.assign_add(1.0)

    def result(self) -> dict[str, tf.Tensor]:
        """The means since the epoch began, float32 scalars."""
        means = tf.math.divide_no_nan(self._totals, self._count)
        return {name: means[index] for index, name in enumerate(self._names)}

    def reset_state(self) -> None:
        """Begins a new epoch."""
        self._totals.assign(tf.zeros_like(self._totals))
        self._count.assign(0.0)
