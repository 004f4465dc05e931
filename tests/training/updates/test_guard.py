"""Updates that are not finite are left out; the run goes back to a good checkpoint."""

import keras
import numpy as np
import tensorflow as tf

from training.meta.loop import StopRequest, run_loop
from training.meta.step import MetaTrainer
from training.runs.checkpoints import SafeCheckpoints
from training.runs.survival import SkipPolicy, Survival
from training.updates.guard import GuardedUpdates


def apply_once(updates, gradient, loss, variable, learning_rate=1.0):
    def apply(strategy, pairs, factor):
        ((gradient, variable),) = pairs
        variable.assign_sub(learning_rate * gradient * (1.0 if factor is None else factor))

    norm, skipped = updates.apply(apply, [tf.constant(gradient)], [variable], tf.constant(loss))
    return float(norm), float(skipped)


def test_gradient_or_loss_that_is_not_finite_is_left_out():
    updates, variable = GuardedUpdates(), tf.Variable([1.0, 1.0])
    assert apply_once(updates, [3.0, 4.0], 1.0, variable) == (5.0, 0.0)
    np.testing.assert_array_equal(variable, [-2.0, -3.0])
    for gradient, loss in (([np.nan, 0.0], 1.0), ([np.inf, 0.0], 1.0), ([1.0, 1.0], np.inf)):
        assert apply_once(updates, gradient, loss, variable)[1] == 1.0
        np.testing.assert_array_equal(variable, [-2.0, -3.0])


def test_scaled_gradients_are_divided_and_the_scale_follows():
    updates, variable = GuardedUpdates(scaled=True), tf.Variable([1.0])
    scale = float(updates.scale())
    norm, skipped = apply_once(updates, [2.0 * scale], 1.0, variable)
    assert (norm, skipped) == (2.0, 0.0) and variable.numpy() == [-1.0]
    apply_once(updates, [np.inf], 1.0, variable)
    assert float(updates.scale()) == scale / 2


def test_counts_in_total_and_in_a_row():
    updates = GuardedUpdates()
    rows = [updates.count(tf.constant(n), tf.constant([1, 0, 2])) for n in (1.0, 2.0, 0.0, 1.0)]
    assert [int(r["skipped/total"]) for r in rows] == [1, 3, 3, 4]
    assert [int(r["skipped/in_a_row"]) for r in rows] == [1, 2, 0, 1]
    assert int(rows[-1]["data/skipped"]) == 12
    assert "data/skipped" not in updates.count(tf.constant(0.0), None)


def test_poisoned_run_goes_back_to_its_checkpoint_and_finishes(nano_config, nano_batch, tmp_path):
    """A weight becomes NaN: three steps are left out, then the checkpoint before it is restored."""
    keras.utils.set_random_seed(0)
    trainer = MetaTrainer(nano_config, 5, dict, tf.distribute.get_strategy())
    checkpoints = SafeCheckpoints(trainer.checkpoint, tmp_path)
    seen, poison = [], [6]

    def train(step):
        if step + 1 in poison:
            poison.remove(step + 1)
            trainer.generator.final_conv.bias.assign([np.nan] * 3)
        seen.append(step + 1)
        return 1, trainer.train_step(nano_batch)

    def restored():
        trainer.updates.skipped_in_a_row.assign(0)
        return int(trainer.step.numpy())

    survival = Survival(
        checkpoints, 5, restored, keep=(trainer.episodes,), policy=SkipPolicy(3), check_every=1
    )
    with StopRequest() as stop:
        assert run_loop(train, 0, 10, [survival], stop) == 10
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8, 9, 10]
    assert int(trainer.step.numpy()) == 10 and int(trainer.episodes.numpy()) == 4 * 13
    assert np.isfinite(trainer.generator.final_conv.bias).all()
    assert [p.rsplit("-")[-1] for p in checkpoints.checkpoints] == ["5", "10"]
