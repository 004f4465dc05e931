"""The scalars of a step by name, kept as one vector until somebody reads them."""

from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf


class Scalars(Mapping):
    """name → float32 scalar. Reading the first one waits for the step; ignoring them costs nothing.

    Args:
      names: one for each entry of `values`.
      values: float32 [len(names)].
    """

    def __init__(self, names: Sequence[str], values: tf.Tensor):
        self._index = {name: i for i, name in enumerate(names)}
        self._values = values
        self._read = None

    def __getitem__(self, name: str):
        if not hasattr(self._values, "numpy"):
            return self._values[self._index[name]]  # inside a graph
        if self._read is None:
            self._read = self._values.numpy()
        return self._read[self._index[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)
