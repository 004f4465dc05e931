"""Invariants 5 and 6, and what one training step does."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.models.images import landmark_images, to_float
from training.meta_trainer import MetaTrainer

NUM_VIDEOS = 5


def make_trainer(config, strategy=None):
    keras.utils.set_random_seed(7)
    return MetaTrainer(config, NUM_VIDEOS, dict, strategy or tf.distribute.get_strategy())


def values(variables):
    return [v.numpy() for v in variables]


def moved(before, variables):
    return [bool(np.any(b != v.numpy())) for b, v in zip(before, variables, strict=True)]


def inputs(config, batch):
    return (
        to_float(batch["source_frames"]),
        landmark_images(config, batch["source_landmarks"]),
        to_float(batch["target_frame"]),
        landmark_images(config, batch["target_landmarks"]),
        batch["video_index"],
    )


def test_generator_update_leaves_the_discriminator_untouched(nano_config, nano_batch):
    trainer = make_trainer(nano_config)
    ours, theirs = trainer.generator_variables, trainer.discriminator.variables
    before, untouched = values(ours), values(theirs)
    trainer.generator_update(*inputs(nano_config, nano_batch))
    # Behind a gate at 0 the attention's convolutions get no gradient in the first step.
    still = [v for v, m in zip(ours, moved(before, ours), strict=True) if not m]
    assert len(still) <= 3 * 8, [v.name for v in still]
    assert not any(moved(untouched, theirs))


def test_discriminator_update_leaves_e_g_and_p_untouched(nano_config, nano_batch):
    trainer = make_trainer(nano_config)
    e_and_g = [*trainer.embedder.variables, *trainer.generator.variables]
    head = trainer.discriminator.head
    untouched, before = values(e_and_g), values([head.w, head.w0, head.bias])
    sources, drawn, target, target_drawn, index = inputs(nano_config, nano_batch)
    fake = trainer.generator(target_drawn, trainer.generator.project(
        trainer.embedder.embed(sources, drawn)))
    trainer.discriminator_update(fake, target, target_drawn, index, None)
    assert not any(moved(untouched, e_and_g))
    assert moved(before[1:2], [head.w0]) == [True]
    rows = np.any(before[0] != head.w.numpy(), axis=1)
    assert rows.tolist() == [True, False, False, True, True]  # only the videos of the batch


def test_gradients_of_one_side_are_none_for_the_other(nano_config, nano_batch):
    """The tapes are separate: x̂ is stopped for D."""
    trainer = make_trainer(nano_config)
    sources, drawn, target, target_drawn, index = inputs(nano_config, nano_batch)
    with tf.GradientTape() as tape:
        fake = trainer.generator(target_drawn, trainer.generator.project(
            trainer.embedder.embed(sources, drawn)))
        scores, _ = trainer.discriminator(tf.stop_gradient(fake), target_drawn, index)
        loss = tf.reduce_sum(scores)
    assert all(g is None for g in tape.gradient(loss, trainer.generator_variables))


def test_match_loss_moves_the_embedder_only(nano_config, nano_batch):
    losses = dataclasses.replace(
        nano_config.losses, content_pixel=0.0, adversarial=0.0, feature_matching=0.0
    )
    config = dataclasses.replace(nano_config, losses=losses)
    trainer = make_trainer(config)
    networks = (trainer.embedder, trainer.generator, trainer.discriminator)
    before = [values(n.trainable_variables) for n in networks]
    trainer.generator_update(*inputs(config, nano_batch))
    changed = [any(moved(b, n.trainable_variables)) for b, n in zip(before, networks, strict=True)]
    assert changed == [True, False, False]


def test_match_loss_reaches_w_where_the_config_says_so(nano_config, nano_batch):
    losses = dataclasses.replace(nano_config.losses, match_detach_w=False)
    trainer = make_trainer(dataclasses.replace(nano_config, losses=losses))
    _, _, target, drawn, index = inputs(nano_config, nano_batch)
    embedding = tf.fill([4, nano_config.model.embedding_size], 100.0)
    w = trainer.discriminator.head.w
    before = w.numpy()
    # Real equals fake and scores are near 0: the hinge terms cancel, the match term is left.
    trainer.discriminator_update(target, target, drawn, index, embedding)
    rows = [0, 3, 4]
    assert (w.numpy() - before)[rows].min() > 0  # towards 100


@pytest.fixture(scope="module")
def stepped(nano_config, nano_batch):
    """A trainer after one compiled step (tracing takes a while), its start and its metrics."""
    trainer = make_trainer(nano_config)
    start = values(trainer.generator.trainable_variables)
    return trainer, start, trainer.train_step(nano_batch)


def test_two_discriminator_updates_per_step(stepped):
    trainer, _, _ = stepped
    assert int(trainer.generator_optimizer.iterations) == 1
    assert int(trainer.discriminator_optimizer.iterations) == 2
    assert int(trainer.w_optimizer.iterations) == 2
    assert (int(trainer.step), int(trainer.episodes)) == (1, 4)


def test_every_term_is_logged_and_finite(stepped):
    trainer, _, metrics = stepped
    terms = {"content_pixel", "adversarial", "feature_matching", "match"}
    assert {f"loss/{t}" for t in terms} < set(metrics)
    assert {"score/real", "score/fake", "loss/discriminator", "norm/w"} < set(metrics)
    assert all(np.isfinite(float(v)) for v in metrics.values())
    weights = trainer.config.losses
    total = sum(getattr(weights, t) * float(metrics[f"loss/{t}"]) for t in terms)
    assert float(metrics["loss/generator"]) == pytest.approx(total, rel=1e-5)


def test_ema_follows(stepped):
    trainer, start, _ = stepped
    decay = trainer.config.train.ema_decay
    for before, ema, now in zip(
        start,
        trainer.ema_generator.trainable_variables,
        trainer.generator.trainable_variables,
        strict=True,
    ):
        np.testing.assert_allclose(ema, decay * before + (1 - decay) * now, atol=1e-6)


def test_overfits_one_batch(stepped, nano_batch):
    """The step learns: L1 on four plain-coloured people falls by a third."""
    trainer, _, _ = stepped
    colours = np.random.default_rng(1).integers(0, 256, (4, 3)).astype(np.uint8)
    batch = dict(nano_batch)
    for name in ("source_frames", "target_frame"):
        shape = nano_batch[name].shape
        batch[name] = tf.constant(
            np.broadcast_to(colours.reshape(4, *[1] * (len(shape) - 2), 3), shape)
        )
    first = float(trainer.train_step(batch)["error/l1"])
    for _ in range(150):
        last = float(trainer.train_step(batch)["error/l1"])
    assert last < 0.67 * first


def test_two_replicas_equal_one_with_the_whole_batch(nano_config, nano_batch):
    """Invariant 6, on two logical CPU devices, duplicate rows of W included.

    Eagerly: tracing the step for two replicas takes longer than running it.
    """
    devices = tf.config.list_logical_devices("CPU")
    assert len(devices) >= 2, "tests/conftest.py makes two logical CPUs"
    single = make_trainer(nano_config)
    strategy = tf.distribute.MirroredStrategy([d.name for d in devices[:2]])
    double = make_trainer(nano_config, strategy)
    for a, b in zip(single.embedder.variables, double.embedder.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    half = nano_config.train.batch_size // 2

    def split(context):
        i = context.replica_id_in_sync_group
        return {k: v[i * half : (i + 1) * half] for k, v in nano_batch.items()}

    for _ in range(2):
        one = single.distributed_step(nano_batch)
        two = double.distributed_step(
            strategy.experimental_distribute_values_from_function(split)
        )
    for name in one:
        assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-3, abs=1e-4), name
    for network in ("embedder", "generator", "discriminator", "ema_generator"):
        pairs = zip(
            getattr(single, network).variables, getattr(double, network).variables, strict=True
        )
        for a, b in pairs:
            np.testing.assert_allclose(a, b, atol=1e-5, err_msg=f"{network} {a.name}")
