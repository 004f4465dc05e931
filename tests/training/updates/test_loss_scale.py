"""The dynamic loss scale: halves at once, doubles after 2000 finite updates."""

import tensorflow as tf

from training.updates.loss_scale import LossScale

FINITE, INFINITE = tf.constant(True), tf.constant(False)


def test_halves_where_an_update_is_not_finite_but_not_below_one():
    scale = LossScale()
    scale.update(INFINITE)
    assert float(scale.value) == 2.0**14
    for _ in range(20):
        scale.update(INFINITE)
    assert float(scale.value) == 1.0


def test_doubles_after_2000_finite_updates_in_a_row():
    scale = LossScale()
    scale.finite_updates.assign(1998)
    scale.update(FINITE)
    assert float(scale.value) == 2.0**15
    scale.update(FINITE)
    assert (float(scale.value), int(scale.finite_updates)) == (2.0**16, 0)
    scale.update(FINITE)
    scale.update(INFINITE)
    assert (float(scale.value), int(scale.finite_updates)) == (2.0**15, 0)
