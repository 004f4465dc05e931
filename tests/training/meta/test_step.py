"""Invariants 5 and 6, what one training step does, and that its options change nothing."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import bounds
from tests.replicas import two_replicas
from tf_talking.networks.images import landmark_images, to_float
from training.meta.options import StepOptions
from training.meta.step import MetaTrainer

NUM_VIDEOS = 5
ONE = tf.constant(1.0)


def make_trainer(config, strategy=None, **options):
    keras.utils.set_random_seed(7)
    return MetaTrainer(config, NUM_VIDEOS, dict, strategy or tf.distribute.get_strategy(), StepOptions(**options))


def values(variables):
    return [v.numpy() for v in variables]


def moved(before, variables):
    return [bool(np.any(b != v.numpy())) for b, v in zip(before, variables, strict=True)]


def test_generator_update_leaves_the_discriminator_untouched(nano_config, nano_batch):
    trainer = make_trainer(nano_config)
    ours, theirs = trainer.generator_variables, trainer.discriminator.variables
    before, untouched = values(ours), values(theirs)
    result = trainer.adversarial.first(nano_batch, ONE)
    assert not any(moved(before, ours)) and not any(moved(untouched, theirs))
    trainer.adversarial.update_generator(result)
    # Behind a gate at 0 the attention's convolutions get no gradient in the first step.
    still = [v for v, m in zip(ours, moved(before, ours), strict=True) if not m]
    assert len(still) <= 3 * 8, [v.name for v in still]
    assert not any(moved(untouched, theirs))


@pytest.mark.parametrize("which", ["first", "further"])
def test_discriminator_update_leaves_e_g_and_p_untouched(nano_config, nano_batch, which):
    trainer = make_trainer(nano_config)
    e_and_g = [*trainer.embedder.variables, *trainer.generator.variables]
    head = trainer.discriminator.head
    untouched, before = values(e_and_g), values([head.w, head.w0, head.bias])
    result = trainer.adversarial.first(nano_batch, ONE)
    if which == "further":
        result = trainer.adversarial.further(nano_batch, result.kept, ONE)
    trainer.adversarial.update_discriminator(result, nano_batch)
    assert not any(moved(untouched, e_and_g))
    assert moved(before[1:2], [head.w0]) == [True]
    rows = np.any(before[0] != head.w.numpy(), axis=1)
    assert rows.tolist() == [True, False, False, True, True]  # only the videos of the batch


def test_gradients_equal_those_of_the_losses_as_written(nano_config, nano_batch):
    """The shared pass against eq. (3) and (6), each with a forward pass and a tape of its own."""
    trainer = make_trainer(nano_config)
    losses, discriminator = nano_config.losses, trainer.discriminator
    sources = to_float(nano_batch["source_frames"])
    source_landmarks = landmark_images(nano_config, nano_batch["source_landmarks"])
    target = to_float(nano_batch["target_frame"])
    drawn = landmark_images(nano_config, nano_batch["target_landmarks"])
    index = nano_batch["video_index"]
    with tf.GradientTape() as tape:
        embedding = trainer.embedder.embed(sources, source_landmarks)
        fake = trainer.generator(drawn, trainer.generator.project(embedding))
        score, activations = discriminator(fake, drawn, index)
        _, real_activations = discriminator.features(target, drawn)
        pairs = zip(real_activations, activations, strict=True)
        matching = [tf.reduce_mean(tf.abs(a - b)) for a, b in pairs]
        loss = (
            losses.content_pixel * tf.reduce_mean(tf.abs(target - fake))
            - losses.adversarial * tf.reduce_mean(score)
            + losses.feature_matching * tf.reduce_mean(matching)
            + losses.match * tf.reduce_mean(tf.abs(embedding - tf.gather(discriminator.head.w, index)))
        )
    expected = tape.gradient(loss, trainer.generator_variables)
    with tf.GradientTape() as tape:
        real, _ = discriminator(target, drawn, index)
        score, _ = discriminator(tf.stop_gradient(fake), drawn, index)
        hinge = tf.reduce_mean(tf.nn.relu(1 + score)) + tf.reduce_mean(tf.nn.relu(1 - real))
    head = discriminator.head
    expected_d = tape.gradient(hinge, [*trainer.discriminator_variables, head.w])
    result = trainer.adversarial.first(nano_batch, ONE)
    assert float(result.metrics["loss/generator"]) == pytest.approx(float(loss), rel=1e-5)
    assert float(result.metrics["loss/discriminator"]) == pytest.approx(float(hinge), rel=1e-5)
    again = trainer.adversarial.further(nano_batch, result.kept, ONE)
    rows = tf.convert_to_tensor(tf.IndexedSlices(result.rows, index, head.w.shape))
    pairs = [
        *zip(result.generator, expected, strict=True),
        *zip([*result.discriminator, rows], expected_d, strict=True),
        *zip(again.discriminator, result.discriminator, strict=True),
    ]
    largest = max(float(tf.reduce_max(tf.abs(gradient))) for _, gradient in pairs)
    for ours, theirs in pairs:
        theirs = tf.convert_to_tensor(theirs)
        bounds.assert_close(ours, theirs, fraction=bounds.GRADIENT, scale=largest)


def test_match_loss_moves_the_embedder_only(nano_config, nano_batch):
    losses = dataclasses.replace(nano_config.losses, content_pixel=0.0, adversarial=0.0, feature_matching=0.0)
    config = dataclasses.replace(nano_config, losses=losses)
    trainer = make_trainer(config)
    networks = (trainer.embedder, trainer.generator, trainer.discriminator)
    before = [values(n.trainable_variables) for n in networks]
    result = trainer.adversarial.first(nano_batch, ONE)
    trainer.adversarial.update_generator(result)
    changed = [any(moved(b, n.trainable_variables)) for b, n in zip(before, networks, strict=True)]
    assert changed == [True, False, False]


def test_match_loss_reaches_w_where_the_config_says_so(nano_config, nano_batch):
    losses = dataclasses.replace(nano_config.losses, match_detach_w=False)
    trainer = make_trainer(dataclasses.replace(nano_config, losses=losses))
    w = trainer.discriminator.head.w
    before = w.numpy()
    # Real equals fake and scores are near 0: the hinge terms cancel, the match term is left.
    kept = {
        "fake": to_float(nano_batch["target_frame"]),
        "to_match": tf.fill([4, nano_config.model.embedding_size], 100.0),
    }
    result = trainer.adversarial.further(nano_batch, kept, ONE)
    trainer.adversarial.update_discriminator(result, nano_batch)
    rows = [0, 3, 4]
    assert (w.numpy() - before)[rows].min() > 0  # towards 100


def with_losses(config, **changes):
    return dataclasses.replace(config, losses=dataclasses.replace(config.losses, **changes))


def test_match_loss_of_each_frame_is_not_that_of_their_mean(nano_config, nano_batch):
    """As the authors later released it: mean |e_k − W_i| over the K frames."""
    only_match = dict(content_pixel=0.0, adversarial=0.0, feature_matching=0.0, match_detach_w=False)
    trainer = make_trainer(with_losses(nano_config, match_per_frame=True, **only_match))
    embedder, w = trainer.embedder, trainer.discriminator.head.w
    drawn = landmark_images(nano_config, nano_batch["source_landmarks"])
    frames = to_float(nano_batch["source_frames"])
    # Amid the vectors, or both would differ from them with one sign, and the means would agree.
    middle = tf.reduce_mean(embedder.embed(frames, drawn), axis=0)
    w.assign(tf.repeat(middle[tf.newaxis], NUM_VIDEOS, axis=0))
    rows = tf.gather(w, nano_batch["video_index"])
    with tf.GradientTape() as tape:
        vectors = [embedder(frames[:, k], drawn[:, k]) for k in range(frames.shape[1])]
        expected = tf.add_n([tf.reduce_mean(tf.abs(v - rows)) for v in vectors]) / len(vectors)
        weighted = nano_config.losses.match * expected
    of_mean = tf.reduce_mean(tf.abs(tf.add_n(vectors) / len(vectors) - rows))
    result = trainer.adversarial.first(nano_batch, ONE)
    assert float(expected) > 1.01 * float(of_mean)
    assert float(result.metrics["loss/match"]) == pytest.approx(float(expected), rel=1e-5)
    gradients = tape.gradient(weighted, embedder.trainable_variables)
    largest = max(float(tf.reduce_max(tf.abs(g))) for g in gradients)
    for ours, theirs in zip(result.generator[: len(gradients)], gradients, strict=True):
        bounds.assert_close(ours, theirs, fraction=bounds.GRADIENT, scale=largest)
    trainer.adversarial.update_discriminator(trainer.adversarial.further(nano_batch, result.kept, ONE), nano_batch)
    assert np.any(rows.numpy() != tf.gather(w, nano_batch["video_index"]).numpy())


@pytest.mark.parametrize("detached", [False, True])
def test_w_is_moved_by_the_scores_of_fakes_unless_detached(nano_config, nano_batch, detached):
    trainer = make_trainer(with_losses(nano_config, detach_w_from_fakes=detached))
    head, index = trainer.discriminator.head, nano_batch["video_index"]
    drawn = landmark_images(nano_config, nano_batch["target_landmarks"])
    result = trainer.adversarial.first(nano_batch, ONE)
    scores = []
    with tf.GradientTape() as tape:
        for frames in (to_float(nano_batch["target_frame"]), result.kept["fake"]):
            vector, _ = trainer.discriminator.features(frames, drawn)
            rows = head.video_embedding(index)
            rows = tf.stop_gradient(rows) if detached and scores else rows
            scores.append(tf.reduce_sum(vector * (rows + head.w0), axis=-1) + head.bias)
        real, fake = scores
        hinge = tf.reduce_mean(tf.nn.relu(1 + fake)) + tf.reduce_mean(tf.nn.relu(1 - real))
    expected = tf.convert_to_tensor(tape.gradient(hinge, head.w))
    rows = tf.convert_to_tensor(tf.IndexedSlices(result.rows, index, head.w.shape))
    assert float(tf.reduce_max(tf.abs(expected))) > 0
    bounds.assert_close(rows, expected, fraction=bounds.GRADIENT, scale=float(tf.reduce_max(tf.abs(expected))))


def test_normalised_w_gets_a_dense_update(nano_config, nano_batch):
    model = dataclasses.replace(nano_config.model, spectral_norm_on_w=True)
    trainer = make_trainer(dataclasses.replace(nano_config, model=model))
    before = trainer.discriminator.head.w.numpy()
    result = trainer.adversarial.first(nano_batch, ONE)
    assert result.rows is None and trainer.w_optimizer is None
    trainer.adversarial.update_discriminator(result, nano_batch)
    assert np.any(before != trainer.discriminator.head.w.numpy(), axis=1).all()


def test_checkpoint_has_the_names_that_it_always_had(nano_config, tmp_path):
    """They are the format: a run that was begun before must go on."""
    path = make_trainer(nano_config).checkpoint.write(str(tmp_path / "ckpt"))
    names = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    paths = [name.partition("/.ATTRIBUTES")[0].split("/") for name in names]
    networks = {"embedder", "generator", "discriminator", "ema_embedder", "ema_generator"}
    optimizers = {f"{side}_optimizer" for side in ("generator", "discriminator", "w")}
    rest = {"step", "episodes", "updates", "config", "_CHECKPOINTABLE_OBJECT_GRAPH"}
    assert {path[0] for path in paths} == networks | optimizers | rest
    assert {tuple(path[1:2]) for path in paths if path[0] in optimizers} == {("iterations",), ("m",), ("v",)}
    assert {"/".join(path[1:]) for path in paths if path[0] == "updates"} == {
        "loss_scale/finite_updates",
        "loss_scale/value",
        "skipped_in_a_row",
        "skipped_records",
        "skipped_updates",
    }
    assert {"/".join(path[1:]) for path in paths if path[:2] == ["discriminator", "head"]} == {
        "head/b",
        "head/w",
        "head/w0",
    }


@pytest.fixture(scope="module")
def stepped(nano_config, nano_batch):
    """A trainer after one compiled step (tracing takes a while), its start and its metrics."""
    trainer = make_trainer(nano_config)
    start = {name: values(getattr(trainer, name).trainable_variables) for name in ("embedder", "generator")}
    return trainer, start, dict(trainer.train_step(nano_batch))


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
    assert {"grad_norm/generator", "grad_norm/discriminator"} < set(metrics)
    assert metrics["skipped/total"] == metrics["skipped/in_a_row"] == 0
    assert all(np.isfinite(float(v)) for v in metrics.values())
    weights = trainer.config.losses
    total = sum(getattr(weights, t) * float(metrics[f"loss/{t}"]) for t in terms)
    assert float(metrics["loss/generator"]) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("network", ["embedder", "generator"])
def test_ema_follows(stepped, network):
    trainer, start, _ = stepped
    decay, moved = trainer.config.train.ema_decay, 0.0
    emas = getattr(trainer, f"ema_{network}").trainable_variables
    for before, ema, now in zip(start[network], emas, getattr(trainer, network).trainable_variables, strict=True):
        np.testing.assert_allclose(ema, decay * before + (1 - decay) * now, rtol=0, atol=2e-7)
        moved = max(moved, (1 - decay) * np.abs(now - before).max())
    assert moved > 2e-6  # more than what passes for equal


def test_overfits_one_batch(stepped, nano_batch):
    """The step learns: L1 on four plain-coloured people falls by a third."""
    trainer, _, _ = stepped
    colours = np.random.default_rng(1).integers(0, 256, (4, 3)).astype(np.uint8)
    batch = dict(nano_batch)
    for name in ("source_frames", "target_frame"):
        shape = nano_batch[name].shape
        batch[name] = tf.constant(np.broadcast_to(colours.reshape(4, *[1] * (len(shape) - 2), 3), shape))
    first = float(trainer.train_step(batch)["error/l1"])
    for _ in range(150):
        last = float(trainer.train_step(batch)["error/l1"])
    assert last < 0.67 * first


def split_over_two(batch, strategy, halves=(0, 1)):
    half = batch["video_index"].shape[0] // 2

    def share(context):
        i = halves[context.replica_id_in_sync_group]
        return {k: v[i * half : (i + 1) * half] for k, v in batch.items()}

    return strategy.experimental_distribute_values_from_function(share)


def assert_same_state(ours, theirs, count=1):
    """After `count` training steps."""
    steps = bounds.adam_steps(theirs.config.train, count)
    bounds.assert_same_training(ours.checkpoint, theirs.checkpoint, steps)


def assert_same_metrics(ours, theirs):
    """Scalars of the log: means over the batch, norms."""
    assert set(ours) == set(theirs)
    for name in theirs:
        one, other = float(ours[name]), float(theirs[name])
        assert one == pytest.approx(other, rel=bounds.GRADIENT, abs=1e-4), name


def test_two_replicas_equal_one_with_the_whole_batch(eager_step, nano_config, nano_batch):
    """Invariant 6, on two logical CPU devices, duplicate rows of W included.

    Eagerly: tracing the step for two replicas takes longer than running it.
    """
    single, strategy = make_trainer(nano_config), two_replicas()
    double = make_trainer(nano_config, strategy)
    for a, b in zip(single.embedder.variables, double.embedder.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for count in (1, 2):
        one = eager_step(single, nano_batch)
        two = eager_step(double, split_over_two(nano_batch, strategy))
        assert_same_metrics(two, one)
        assert_same_state(double, single, count)


def times(gradient, factor):
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(gradient.values * factor, gradient.indices, gradient.dense_shape)
    return gradient * factor


# What each replica multiplies its gradients by, and whose half of the batch it gets.
FAULTS = {
    "none": (lambda replica: 1.0, (0, 1)),
    "mean for sum": (lambda replica: 0.5, (0, 1)),
    "one replica lost": (lambda replica: 1.0 - replica, (0, 1)),
    "episodes used twice": (lambda replica: 1.0, (0, 0)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bounds_tell_a_wrong_reduction_apart(eager_step, pico_config, nano_batch, fault):
    factor, halves = FAULTS[fault]
    single, double = make_trainer(pico_config), make_trainer(pico_config, two_replicas())
    apply = double.guard.apply

    def wrong(side, gradients, loss, scale):
        replica = int(tf.distribute.get_replica_context().replica_id_in_sync_group)
        return apply(side, [times(g, factor(replica)) for g in gradients], loss, scale)

    double.guard.apply = wrong
    eager_step(single, nano_batch)
    eager_step(double, split_over_two(nano_batch, two_replicas(), halves))
    if fault == "none":
        return assert_same_state(double, single)
    for optimizer in ("generator_optimizer", "discriminator_optimizer", "w_optimizer"):
        ours, theirs = (
            {n: v for n, v in bounds.variables_of(t.checkpoint).items() if n.startswith(optimizer)}
            for t in (double, single)
        )
        with pytest.raises(AssertionError, match="of the largest magnitude"):
            bounds.assert_same_training(ours, theirs, {})


def test_parts_of_a_batch_equal_the_whole_one(eager_step, nano_config, nano_batch):
    """Gradient accumulation, duplicate rows of W in different parts included."""
    whole, parts = make_trainer(nano_config), make_trainer(nano_config, accumulate=2)
    assert_same_metrics(eager_step(parts, nano_batch), eager_step(whole, nano_batch))
    assert_same_state(parts, whole)


def test_recomputation_equals_the_plain_step(eager_step, nano_config, nano_batch):
    fresh, ours = make_trainer(nano_config), make_trainer(nano_config, recompute=True)
    eager_step(fresh, nano_batch)
    eager_step(ours, nano_batch)
    assert_same_state(ours, fresh)


@pytest.mark.parametrize("precision", [pytest.param("bfloat16", marks=pytest.mark.bfloat16), "float16"])
def test_half_precision_stays_close(eager_step, nano_config, nano_batch, precision):
    """Losses of the first pass within 2 %; every weight and loss stays float32."""
    plain = make_trainer(nano_config)
    trainer = make_trainer(nano_config, precision=precision)
    expected = plain.adversarial.first(nano_batch, ONE).metrics
    metrics = trainer.adversarial.first(nano_batch, ONE).metrics
    for name in (n for n in expected if n.startswith("loss/")):
        assert metrics[name].dtype == tf.float32
        assert float(metrics[name]) == pytest.approx(float(expected[name]), rel=0.02, abs=0.01)
    metrics = eager_step(trainer, nano_batch)
    kept = [trainer.embedder, trainer.generator, trainer.discriminator, trainer.w_optimizer]
    assert {v.dtype for m in kept for v in m.variables if v.dtype.is_floating} == {tf.float32}
    if precision == "float16":
        assert metrics["skipped/loss_scale"] == 2.0 ** (15 - metrics["skipped/total"])  # halved by each


def test_several_steps_in_one_call_equal_single_ones(eager_step, pico_config, nano_batch):
    shifted = {k: tf.roll(v, 1, axis=0) for k, v in nano_batch.items()}
    data = tf.data.Dataset.from_tensors(nano_batch).concatenate(tf.data.Dataset.from_tensors(shifted))
    single, several = make_trainer(pico_config), make_trainer(pico_config)
    for batch in data:
        last = eager_step(single, batch)
    metrics = several.train_steps(iter(data), 2)
    assert int(several.step) == 2 and int(several.episodes) == 8
    for name in last:
        assert metrics[name] == pytest.approx(last[name], rel=1e-4, abs=1e-5), name
    assert_same_state(several, single, 2)


def test_update_that_is_not_finite_is_left_out_and_counted(eager_step, nano_config, nano_batch):
    """A landmark at infinity is drawn nowhere, so the poison is in a weight."""
    trainer = make_trainer(nano_config)
    gate = trainer.generator.final_conv.bias
    gate.assign([np.nan, 0.0, 0.0])
    optimizers = [trainer.generator_optimizer, trainer.discriminator_optimizer]
    trained = [
        *trainer.generator_variables,
        *trainer.discriminator_variables,
        trainer.discriminator.head.w,
        *(v for o in optimizers for v in o.variables),
        *trainer.w_optimizer.variables,
    ]
    before = values(trained)
    metrics = eager_step(trainer, nano_batch)
    assert not np.isfinite(metrics["loss/generator"])
    assert metrics["skipped/total"] == 3 and metrics["skipped/in_a_row"] == 1
    for a, b in zip(before, trained, strict=True):
        np.testing.assert_array_equal(a, b)
    gate.assign(tf.zeros(3))
    metrics = eager_step(trainer, nano_batch)
    assert metrics["skipped/total"] == 3 and metrics["skipped/in_a_row"] == 0
    assert int(trainer.generator_optimizer.iterations) == 1


def test_xla_equals_the_plain_step(nano_config, nano_batch):
    """As one program on one device; on two replicas pass by pass. On a smaller network still: XLA
    compiles for minutes on a CPU."""
    model = dataclasses.replace(
        nano_config.model, image_size=16, generator_bottleneck=8, embedder_bottleneck=8, max_channels=8, attention=False
    )
    train = dataclasses.replace(nano_config.train, discriminator_steps=1)
    config = dataclasses.replace(nano_config, model=model, train=train)
    batch = {k: v[:, ..., ::2, ::2, :] if "frame" in k else v for k, v in nano_batch.items()}
    plain, compiled = make_trainer(config), make_trainer(config, jit_compile=True)
    strategy = two_replicas()
    double = make_trainer(config, strategy, jit_compile=True)
    expected = plain.train_step(batch)
    for trainer, data in ((compiled, batch), (double, split_over_two(batch, strategy))):
        assert_same_metrics(trainer.train_step(data), expected)
        assert_same_state(trainer, plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "precision: got 'int8'"),
        ({"accumulate": 0}, "accumulate: got 0"),
        ({"accumulate": 3}, "train.batch_size: got 4, expected a multiple of 1 replicas x 3"),
    ],
)
def test_bad_options_are_named(nano_config, options, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(nano_config, **options)


@pytest.mark.parametrize("finite_updates, scale_after", [(1999, 2.0**16), (0, 2.0**15)])
def test_both_sides_are_divided_by_the_scale_their_gradients_carry(
    eager_step, pico_config, nano_batch, finite_updates, scale_after
):
    """The generator's update may double the scale before D's gradients of that pass are used."""
    trainer = make_trainer(pico_config)
    plain = {name: float(value) for name, value in eager_step(trainer, nano_batch).items()}
    trainer = make_trainer(pico_config)
    trainer.guard.scaled = True
    trainer.guard.counters.loss_scale.finite_updates.assign(finite_updates)
    scaled = {name: float(value) for name, value in eager_step(trainer, nano_batch).items()}
    assert float(trainer.guard.scale()) == scale_after
    for side in ("generator", "discriminator"):
        assert scaled[f"grad_norm/{side}"] == pytest.approx(plain[f"grad_norm/{side}"], rel=1e-4), side
