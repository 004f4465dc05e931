"""Two replicas on the two logical CPUs that `tests/conftest.py` makes."""

import functools

import tensorflow as tf


@functools.cache  # collectives of two strategies in one process would get the same numbers
def two_replicas() -> tf.distribute.MirroredStrategy:
    """The one strategy of this process."""
    devices = tf.config.list_logical_devices("CPU")
    assert len(devices) >= 2, "tests/conftest.py makes two logical CPUs"
    return tf.distribute.MirroredStrategy([device.name for device in devices[:2]])
