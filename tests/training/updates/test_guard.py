"""Updates that are not finite are left out; the run goes back to a good checkpoint."""

import keras
import numpy as np
import tensorflow as tf

from training.meta.loop import StopRequest, run_loop
from training.meta.step import MetaTrainer
from training.runs.checkpoints import SafeCheckpoints
from training.runs.survival import SkipPolicy, Survival
from training.updates.guard import Guard, LossScale

FINITE, INFINITE = tf.constant(True), tf.constant(False)


class Descent:
    """Gradient descent at rate 1."""

    def apply(self, strategy, gradients_and_variables, scale=None):
        for gradient, variable in gradients_and_variables:
            variable.assign_sub(gradient * (1.0 if scale is None else scale))


def make_guard(*variables, **options):
    """A side with one optimiser for each variable."""
    return Guard({"generator": [(Descent(), [v]) for v in variables]}, **options)


def apply_once(guard, gradient, loss):
    norm, skipped = guard.apply("generator", [tf.constant(gradient)], tf.constant(loss))
    return float(norm), float(skipped)


def test_gradient_or_loss_that_is_not_finite_is_left_out():
    variable = tf.Variable([1.0, 1.0])
    guard = make_guard(variable)
    assert apply_once(guard, [3.0, 4.0], 1.0) == (5.0, 0.0)
    np.testing.assert_array_equal(variable, [-2.0, -3.0])
    for gradient, loss in (([np.nan, 0.0], 1.0), ([np.inf, 0.0], 1.0), ([1.0, 1.0], np.inf)):
        assert apply_once(guard, gradient, loss)[1] == 1.0
        np.testing.assert_array_equal(variable, [-2.0, -3.0])


def test_every_optimiser_of_a_side_gets_its_gradients_or_none_does():
    dense, rows = tf.Variable([1.0]), tf.Variable([2.0])
    guard = make_guard(dense, rows)
    norm, _ = guard.apply("generator", [tf.constant([3.0]), tf.constant([4.0])], tf.constant(1.0))
    assert float(norm) == 5.0 and (dense.numpy(), rows.numpy()) == (-2.0, -2.0)
    guard.apply("generator", [tf.constant([3.0]), tf.constant([np.nan])], tf.constant(1.0))
    assert (dense.numpy(), rows.numpy()) == (-2.0, -2.0)


def test_scaled_gradients_are_divided_and_the_scale_follows():
    variable = tf.Variable([1.0])
    guard = make_guard(variable, scaled=True)
    scale = float(guard.scale())
    norm, skipped = apply_once(guard, [2.0 * scale], 1.0)
    assert (norm, skipped) == (2.0, 0.0) and variable.numpy() == [-1.0]
    apply_once(guard, [np.inf], 1.0)
    assert float(guard.scale()) == scale / 2


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


def test_counts_in_total_and_in_a_row():
    guard = make_guard()
    rows = [guard.count(tf.constant(n), tf.constant([1, 0, 2])) for n in (1.0, 2.0, 0.0, 1.0)]
    assert [int(r["skipped/total"]) for r in rows] == [1, 3, 3, 4]
    assert [int(r["skipped/in_a_row"]) for r in rows] == [1, 2, 0, 1]
    assert int(rows[-1]["data/skipped"]) == 12
    assert "data/skipped" not in guard.count(tf.constant(0.0), None)


def test_poisoned_run_goes_back_to_its_checkpoint_and_finishes(pico_config, nano_batch, tmp_path):
    """A weight becomes NaN: three steps are left out, then the checkpoint before it is restored."""
    keras.utils.set_random_seed(0)
    trainer = MetaTrainer(pico_config, 5, dict, tf.distribute.get_strategy())
    checkpoints = SafeCheckpoints(trainer.checkpoint, tmp_path)
    seen, poison = [], [6]

    def train(step):
        if step + 1 in poison:
            poison.remove(step + 1)
            trainer.generator.final_conv.bias.assign([np.nan] * 3)
        seen.append(step + 1)
        return 1, trainer.train_step(nano_batch)

    def restored():
        trainer.guard.counters.skipped_in_a_row.assign(0)
        return int(trainer.step.numpy())

    survival = Survival(checkpoints, 5, restored, keep=(trainer.episodes,), policy=SkipPolicy(3), check_every=1)
    with StopRequest() as stop:
        assert run_loop(train, 0, 10, [survival], stop) == 10
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8, 9, 10]
    assert int(trainer.step.numpy()) == 10 and int(trainer.episodes.numpy()) == 4 * 13
    assert np.isfinite(trainer.generator.final_conv.bias).all()
    assert [p.rsplit("-")[-1] for p in checkpoints.checkpoints] == ["5", "10"]
