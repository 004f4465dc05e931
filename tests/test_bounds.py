"""The bounds hold for sums in another order, and break for what is wrong."""

import numpy as np
import pytest
import tensorflow as tf

from tests import bounds


def products(count, size=64):
    generator = np.random.default_rng(count)
    return generator.normal(size=(count, size)).astype(np.float32)


@pytest.mark.parametrize("count", [9, 144, 4608, 100_000])
def test_sums_in_another_order_are_within(count):
    terms = products(count)
    one_by_one = np.cumsum(terms, axis=0, dtype=np.float32)[-1]
    bounds.assert_close(one_by_one, terms[::-1].sum(axis=0), terms=count)


def test_an_element_whose_terms_cancel_is_measured_by_the_largest():
    theirs = np.array([5.0, 1e-6], np.float32)
    bounds.assert_close(theirs + np.float32(3e-6), theirs, terms=100)
    with pytest.raises(AssertionError, match="of the largest magnitude, 5"):
        bounds.assert_close(theirs + np.float32(3e-5), theirs, terms=100, name="x")


def test_a_cancelled_tensor_is_measured_by_what_it_was_computed_with():
    theirs = np.full(3, 1e-8, np.float32)
    bounds.assert_close(-theirs, theirs, terms=100, scale=2.0)
    with pytest.raises(AssertionError):
        bounds.assert_close(-theirs, theirs, terms=100)


def test_shapes_must_be_equal():
    with pytest.raises(AssertionError, match=r"x: \(3,\), expected \(1,\)"):
        bounds.assert_close(np.zeros(3), np.zeros(1), terms=1, name="x")


def trained(gradient, weights=0.0):
    """The state after one update by Adam with beta_1 = 0."""
    root, parts = tf.train.Checkpoint(), tf.train.Checkpoint()
    parts.m = tf.Variable(gradient)
    parts.v = tf.Variable(1e-3 * np.square(gradient))
    root.network_optimizer, root.step = parts, tf.Variable(1)
    root.network = tf.train.Checkpoint(kernel=tf.Variable(weights - 1e-4 * np.sign(gradient)))
    return root


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda g: g, None),
        (lambda g: g * (1 + 1e-5), None),
        (lambda g: g / 2, "network_optimizer/[mv]"),  # a mean for a sum: Adam's step is the same
        (lambda g: g + np.random.default_rng(1).normal(size=g.shape) * 0.1, "network_optimizer/[mv]"),
    ],
)
def test_states_of_training(change, seen):
    gradient = products(9)
    ours, theirs = trained(change(gradient).astype(np.float32)), trained(gradient)
    if not seen:
        return bounds.assert_same_training(ours, theirs, {"network": 1e-4})
    with pytest.raises(AssertionError, match=seen):
        bounds.assert_same_training(ours, theirs, {"network": 1e-4})


def test_weights_that_moved_another_way_are_seen():
    gradient = products(9)
    theirs = bounds.variables_of(trained(gradient))
    ours = theirs | {"network/kernel": theirs["network/kernel"] * np.where(gradient > 1, -1, 1)}
    with pytest.raises(AssertionError, match="network/kernel: .* apart on average"):
        bounds.assert_same_training(ours, theirs, {"network": 1e-4})
    one = theirs["network/kernel"].copy()
    one[0, 0] *= -1  # the step of one element, whose gradient may have been rounding
    bounds.assert_same_training(theirs | {"network/kernel": one}, theirs, {"network": 1e-4})


def test_counts_are_exact():
    theirs = bounds.variables_of(trained(products(9)))
    assert sorted(theirs) == ["network/kernel", "network_optimizer/m", "network_optimizer/v", "step"]
    with pytest.raises(AssertionError, match="step"):
        bounds.assert_same_training(theirs | {"step": np.int32(2)}, theirs, {})
