"""Means over an epoch by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from training.finetuning.means import MeansByName


def test_means_since_the_epoch_began():
    means = MeansByName()
    for value in (1.0, 2.0, 6.0):
        means.update_state({"loss/b": tf.constant(value), "a": tf.constant(-value, tf.float64)})
    assert {name: float(value) for name, value in means.result().items()} == {"a": -3.0, "loss/b": 3.0}
    means.reset_state()
    means.update_state({"loss/b": tf.constant(5.0), "a": tf.constant(0.5)})
    assert {name: float(value) for name, value in means.result().items()} == {"a": 0.5, "loss/b": 5.0}


def test_names_stay_and_have_room():
    means = MeansByName()
    with pytest.raises(ValueError, match="expected at most 64 names"):
        means.update_state({f"{number}": tf.constant(0.0) for number in range(65)})
    means.update_state({"a": tf.constant(0.0)})
    with pytest.raises(ValueError, match=r"means of \['b'\]: expected \['a'\]"):
        means.update_state({"b": tf.constant(0.0)})


def test_fit_traces_a_step_once_and_reports_the_means_of_each_epoch():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.means, self.traced, self.built = MeansByName(), 0, True

        @property
        def metrics(self):
            return [self.means]

        def train_step(self, data):
            self.traced += 1
            self.means.update_state({"value": tf.reduce_mean(data)})
            return self.means.result()

    model = Model()
    model.compile()
    data = tf.data.Dataset.from_tensor_slices(np.array([[1.0], [3.0]], np.float32)).batch(1)
    history = model.fit(data, epochs=2, verbose=0).history
    assert history == {"value": [2.0, 2.0]} and model.traced == 1
