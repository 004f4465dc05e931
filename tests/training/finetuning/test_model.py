"""Invariant 4: fine-tuning starts exactly at the feed-forward result (eq. 5 = eq. 8)."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.reference.finetuning import StraightforwardPersonalModel
from tests import bounds
from tests.replicas import two_replicas
from tf_talking.networks.generator import neutral_adain_params
from tf_talking.networks.images import landmark_images, to_float, to_uint8
from tf_talking.served.graphs import save_generator
from training.finetuning.callbacks import BackupEvery
from training.finetuning.model import PersonalModel
from training.person.frames import PersonFrames, photo_dataset


@pytest.fixture(scope="module")
def photos(nano_config):
    """Eight photos whose landmark images are drawn from moving points."""
    size = nano_config.model.image_size
    generator = np.random.default_rng(0)
    base = generator.uniform(8, size - 8, (68, 2))
    landmarks = (base + generator.uniform(-3, 3, (8, 1, 2))).astype(np.float32)
    frames = np.full((8, size, size, 3), (200, 60, 120), np.uint8)
    return {"frames": frames, "landmarks": landmarks}


def make(learned, photos, model=PersonalModel, **options):
    drawn = landmark_images(learned.config, tf.constant(photos["landmarks"][np.newaxis]))
    frames = to_float(tf.constant(photos["frames"][np.newaxis]))
    embedding = learned.embedder.embed(frames, drawn)[0].numpy()
    return model(learned, embedding, **options), embedding, drawn[0]


def batch_of(photos):
    """The photos as the adversarial update takes them."""
    names = {"target_frame": "frames", "target_landmarks": "landmarks"}
    return {name: tf.constant(photos[key]) for name, key in names.items()}


def test_generator_starts_at_the_feed_forward_result(learned, photos):
    model, embedding, drawn = make(learned, photos)
    psi = np.tile(learned.generator.project(embedding[np.newaxis]), (8, 1))
    expected = learned.generator(drawn, psi)
    own = model.generator(drawn, np.tile(model.adain_params, (8, 1)))
    np.testing.assert_array_equal(own, expected)
    np.testing.assert_array_equal(model(photos["landmarks"]), to_uint8(expected))


def test_discriminator_starts_at_equation_5(learned, photos):
    """With ê_NEW = W_i, D' of eq. (8) equals D of eq. (5) for video i."""
    _, _, drawn = make(learned, photos)
    embedding = learned.discriminator.head.w[2].numpy()
    model = PersonalModel(learned, embedding)
    frames = to_float(tf.constant(photos["frames"]))
    expected, activations = learned.discriminator(frames, drawn, tf.fill([8], 2))
    scores, own_activations = model.score(frames, drawn)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
    for a, b in zip(activations, own_activations, strict=True):
        np.testing.assert_array_equal(a, b)
    head = learned.discriminator.head
    np.testing.assert_allclose(model.w, embedding + head.w0, atol=1e-7)


def test_updates_touch_what_the_paper_says(learned, photos):
    model, _, _ = make(learned, photos)
    model.compile()

    def state(variables):
        return [v.numpy() for v in variables]

    sides = ([*model.generator.variables, model.adain_params], [*model.features.variables, model.w, model.bias])
    before = [state(side) for side in sides]
    update = model._update.value
    result = update.first(batch_of(photos), tf.constant(1.0))
    for side, values in zip(sides, before, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(values, state(side), strict=True))
    update.update_generator(result)
    assert all(np.array_equal(a, b) for a, b in zip(before[1], state(sides[1]), strict=True))
    assert not np.array_equal(before[0][-1], model.adain_params)  # ψ' itself is trained
    before[0] = state(sides[0])
    update.update_discriminator(result, batch_of(photos))
    assert all(np.array_equal(a, b) for a, b in zip(before[0], state(sides[0]), strict=True))
    assert not np.array_equal(before[1][-2], model.w)


@pytest.mark.parametrize("fields", [{}, {"discriminator_steps": 1}, {"adversarial": False}])
def test_step_equals_the_straightforward_one(learned, photos, fields):
    """Keras' Adam, D apart for real frames, for generated ones and for each objective."""
    ours, theirs = (
        make(with_finetune(learned, **fields), photos, model=model)[0]
        for model in (PersonalModel, StraightforwardPersonalModel)
    )
    found = []
    for model in (ours, theirs):
        model.compile(run_eagerly=True)  # three steps: tracing would cost more
        data = tf.data.Dataset.from_tensor_slices(photos).batch(8)
        history = model.fit(data, epochs=3, verbose=0).history
        values = {name: h for name, h in history.items() if name != "skipped/updates"}
        weights = [*model.generator.trainable_variables, *model.drawn_variables, model.w]
        found.append((values, [v.numpy() for v in weights]))
    assert set(found[0][0]) == set(found[1][0])
    for name, values in found[0][0].items():
        np.testing.assert_allclose(values, found[1][0][name], rtol=2e-3, atol=1e-4, err_msg=name)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)
    start = learned.generator.project(ours.embedding[np.newaxis])[0]
    assert np.abs(ours.adain_params - start).max() > 1e-3  # what is compared has moved by more


def test_update_that_is_not_finite_is_left_out(learned, photos):
    model, _, _ = make(learned, photos)
    model.compile(run_eagerly=True)
    drawing = [*model.ema_generator.trainable_variables, model.ema_adain_params]
    before = [v.numpy() for v in drawing]
    model.w.assign(tf.fill(model.w.shape, np.inf))
    data = tf.data.Dataset.from_tensor_slices(photos).batch(8)
    history = model.fit(data, epochs=1, verbose=0).history
    assert history["skipped/updates"] == [1.0 + model.config.finetune.discriminator_steps]
    for a, b in zip(before, drawing, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_start_is_forgotten_sooner_than_the_decay_says(learned, photos):
    """The mean warms up: 0.1, 2/11, ... of it stay, so few updates do not serve the start."""
    model, _, _ = make(learned, photos)
    model.compile()
    expected = model.adain_params.numpy()
    for update in range(3):
        model.train_step({name: tf.constant(value) for name, value in photos.items()})
        stays = min(model.config.finetune.ema_decay, (1 + update) / (10 + update))
        expected = stays * expected + (1 - stays) * model.adain_params.numpy()
        np.testing.assert_allclose(model.ema_adain_params, expected, atol=1e-6)
    moved = np.abs(model.adain_params - learned.generator.project(model.embedding[np.newaxis])[0]).max()
    assert moved > 1e-4


def test_meta_learned_networks_are_not_changed(learned, photos):
    networks = (learned.embedder, learned.generator, learned.discriminator)
    before = [[w.numpy() for w in n.weights] for n in networks]
    model, _, drawn = make(learned, photos)
    model.compile()
    model.train_step({name: tf.constant(value) for name, value in photos.items()})
    for weights, network in zip(before, networks, strict=True):
        for a, b in zip(weights, network.weights, strict=True):
            np.testing.assert_array_equal(a, b)


def test_fit_comes_closer_to_the_photos(learned, photos):
    model, _, _ = make(learned, photos)
    model.compile()
    before = np.abs(model(photos["landmarks"]).numpy().astype(int) - photos["frames"]).mean()
    dataset = tf.data.Dataset.from_tensor_slices(photos).batch(8)
    history = model.fit(dataset, epochs=60, verbose=0)
    after = np.abs(model(photos["landmarks"]).numpy().astype(int) - photos["frames"]).mean()
    assert after < 0.85 * before
    terms = ("content_pixel", "adversarial", "feature_matching", "generator", "discriminator")
    assert {"error/l1", *(f"loss/{term}" for term in terms)} < set(history.history)
    assert len(history.history["error/l1"]) == 60


@pytest.mark.bfloat16
def test_bfloat16_computes_the_same_objective_and_draws_in_float32(learned, photos):
    found = {}
    for precision in ("float32", "bfloat16"):
        model, _, _ = make(learned, photos, precision=precision)
        model.compile()
        start = model(photos["landmarks"]).numpy()
        values = model._update.value.first(batch_of(photos), tf.constant(1.0)).metrics
        found[precision] = start, {name: float(value) for name, value in values.items()}
    np.testing.assert_array_equal(found["float32"][0], found["bfloat16"][0])
    assert found["float32"][1] == pytest.approx(found["bfloat16"][1], rel=0.05, abs=0.01)
    assert found["float32"][1] != found["bfloat16"][1]
    with pytest.raises(ValueError, match="precision: got 'float16', expected one of"):
        make(learned, photos, precision="float16")


def test_w_is_initialised_as_in_section_3_3_whatever_the_learning_rate(learned, photos):
    config = dataclasses.replace(
        learned.config, finetune=dataclasses.replace(learned.config.finetune, learning_rate=1.0)
    )
    model, embedding, _ = make(dataclasses.replace(learned, config=config), photos)
    np.testing.assert_allclose(model.w, learned.discriminator.head.w0 + embedding, atol=1e-7)
    assert float(model.bias) == float(learned.discriminator.head.bias)


@pytest.fixture(scope="module")
def psi_tuned(learned, photos):
    """(feed-forward frames, shared weights before, the model after `fit` of ψ' alone)."""
    before = [w.numpy() for w in learned.generator.weights]
    model, _, _ = make(learned, photos, tune="psi")
    model.compile()
    first = model(photos["landmarks"]).numpy()
    dataset = tf.data.Dataset.from_tensor_slices(photos).batch(8)
    model.fit(dataset, epochs=40, verbose=0)
    return first, before, model


def test_psi_only_starts_at_the_feed_forward_result(learned, photos, psi_tuned):
    _, embedding, drawn = make(learned, photos)
    psi = np.tile(learned.generator.project(embedding[np.newaxis]), (8, 1))
    np.testing.assert_array_equal(psi_tuned[0], to_uint8(learned.generator(drawn, psi)))


def test_psi_only_leaves_the_shared_generator_alone(learned, psi_tuned):
    _, before, model = psi_tuned
    assert model.generator is learned.generator and model.ema_generator is learned.generator
    for a, b in zip(before, learned.generator.weights, strict=True):  # u and v of σ too
        np.testing.assert_array_equal(a, b, err_msg=b.name)
    own = {id(w) for w in model.weights}
    assert not own & {id(w) for w in learned.generator.weights}


def test_psi_only_comes_closer_to_the_photos(photos, psi_tuned):
    first, _, model = psi_tuned
    before = np.abs(first.astype(int) - photos["frames"]).mean()
    after = np.abs(model(photos["landmarks"]).numpy().astype(int) - photos["frames"]).mean()
    assert after < 0.9 * before


def test_psi_only_trains_the_discriminator_too(learned, psi_tuned):
    model = psi_tuned[2]
    head = learned.discriminator.head
    assert np.abs(model.w.numpy() - head.w0 - model.embedding).max() > 1e-4


def test_psi_only_person_is_drawn_by_the_shared_export(learned, photos, psi_tuned, tmp_path):
    """The exported shared generator with the person's ψ' draws what the preview showed."""
    model = psi_tuned[2]
    assert (model.own_generator, model.tune) == (None, "psi")
    save_generator(tmp_path / "generator", learned.config, learned.generator)
    served = tf.saved_model.load(str(tmp_path / "generator")).signatures["serving_default"]
    drawn = landmark_images(learned.config, tf.constant(photos["landmarks"]))
    psi = tf.constant(np.tile(model.ema_adain_params.numpy(), (8, 1)))
    frames = served(landmark_images=to_uint8(drawn), adain_params=psi)["frames"].numpy()
    shown = model(photos["landmarks"]).numpy()
    assert np.abs(frames.astype(int) - shown).max() <= 1
    assert shown.std() > 1.0  # no blank pictures that would agree anyway


def test_unknown_tune_is_refused(learned, photos):
    with pytest.raises(ValueError, match="tune: got 'all', expected one of"):
        make(learned, photos, tune="all")


class Killed(keras.callbacks.Callback):
    """Ends training after the first batch of an epoch, as a kill would."""

    def __init__(self, epoch):
        super().__init__()
        self.last, self.epoch = epoch, None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.last:
            raise KeyboardInterrupt


def test_killed_job_goes_on_to_the_same_weights(learned, photos, tmp_path):
    """Epoch 2 of 3 is lost half-way; in epochs of two batches the order of photos matters."""
    person = PersonFrames(photos["frames"], photos["landmarks"], "photos")

    def train(*callbacks):
        model, _, _ = make(learned, photos)
        model.compile(run_eagerly=True)  # few steps: tracing would cost more
        dataset = photo_dataset(person, 5, 0, model.generator_optimizer.iterations)
        model.fit(dataset, epochs=3, verbose=0, callbacks=callbacks)
        return model

    undisturbed = train()
    with pytest.raises(KeyboardInterrupt):
        train(BackupEvery(tmp_path, 2), Killed(2))
    resumed = train(BackupEvery(tmp_path, 2))
    assert int(resumed.generator_optimizer.iterations) == 6
    optimizers = ("generator_optimizer", "discriminator_optimizer")
    variables = [
        [*m.weights, *(v for o in optimizers for v in getattr(m, o).variables)] for m in (undisturbed, resumed)
    ]
    for a, b in zip(*variables, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.name)
    assert not list(tmp_path.rglob("*.index"))


def test_order_of_photos_follows_from_seed_and_step(photos):
    landmarks = np.arange(8, dtype=np.float32)[:, np.newaxis, np.newaxis] * np.ones((1, 68, 2))
    person = PersonFrames(photos["frames"], landmarks.astype(np.float32), "photos")
    step = tf.Variable(0)
    dataset = photo_dataset(person, 5, 0, step)

    def order():
        return [b["landmarks"][:, 0, 0].numpy().astype(int).tolist() for b in dataset]

    first = order()
    assert [len(b) for b in first] == [5, 3] and sorted(sum(first, [])) == list(range(8))
    assert order() == first
    assert dataset.cardinality() == 2  # or Keras would begin a third step, see `photo_dataset`
    step.assign(2)
    second = order()
    assert second != first and sorted(sum(second, [])) == list(range(8))


def test_two_replicas_train_as_one(learned, photos):
    """Each takes half of the batch and its share of the loss. Adam hides a factor, norms do not."""
    found = []
    for strategy in (tf.distribute.OneDeviceStrategy("CPU:0"), two_replicas()):
        with strategy.scope():
            model, _, _ = make(learned, photos)
            model.compile()
        number = strategy.num_replicas_in_sync
        shares = strategy.experimental_distribute_values_from_function(
            lambda replica, number=number: {
                name: tf.constant(np.split(values, number)[replica.replica_id_in_sync_group])
                for name, values in photos.items()
            }
        )
        values, skipped = strategy.run(step_of(model), args=(shares,))
        assert not any(int(left_out) for left_out in strategy.experimental_local_results(skipped))
        means = {name: np.mean(strategy.experimental_local_results(value)) for name, value in values.items()}
        weights = [model.adain_params, *model.drawn_variables, model.w, model.bias]
        found.append((means, [variable.numpy() for variable in weights]))
    (alone, of_one), (together, of_two) = found
    assert set(alone) == set(together)
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, rtol=2e-3, atol=1e-5, err_msg=name)
    assert alone["grad_norm/generator"] > 0.1 and alone["grad_norm/discriminator"] > 0.01
    for a, b in zip(of_one, of_two, strict=True):
        np.testing.assert_allclose(b, a, atol=2e-4)


def step_of(model):
    """One replica's part of `train_step`, eagerly: a step costs less than its tracing."""

    def step(data):
        values = model._update.value.step({"target_frame": data["frames"], "target_landmarks": data["landmarks"]})
        model._update_ema()
        return values

    return step


def with_finetune(learned, **fields):
    config = learned.config
    finetune = dataclasses.replace(config.finetune, **fields)
    return dataclasses.replace(learned, config=dataclasses.replace(config, finetune=finetune))


def test_restarted_model_equals_a_new_one(learned, photos):
    """After another person's update: the same weights at the start, and after an update."""

    def update(model):
        model.train_step({name: tf.constant(value) for name, value in photos.items()})
        optimizers = (model.generator_optimizer, model.discriminator_optimizer)
        return [v.numpy() for v in (*model.weights, *(v for o in optimizers for v in o.variables))]

    used, embedding, drawn = make(learned, photos)
    used.compile()
    used.restart(embedding + 0.3)
    np.testing.assert_allclose(used.w, learned.discriminator.head.w0 + embedding + 0.3, atol=1e-6)
    update(used)
    used.restart(embedding)
    new, _, _ = make(learned, photos)
    new.compile()
    for a, b in zip(new.weights, used.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.name)
    for a, b in zip(update(new), update(used), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # an update is of order 1e-3


def test_random_w_is_not_the_embedding_and_follows_the_seed(learned, photos):
    ablated = with_finetune(learned, w_init="random")
    models = [make(ablated, photos, seed=seed)[0] for seed in (1, 1, 2)]
    rows = [m.w.numpy() - learned.discriminator.head.w0.numpy() for m in models]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert np.abs(rows[0] - rows[2]).max() > 0.01
    assert all((row >= -1e-6).all() and (row <= 0.2 + 1e-6).all() for row in rows)  # as W starts
    projected = learned.generator.project(models[0].embedding[np.newaxis])[0]
    np.testing.assert_array_equal(models[0].adain_params, projected)  # nothing else changes


def test_random_adain_params_are_scales_around_one(learned, photos):
    ablated = with_finetune(learned, adain_init="random")
    model, embedding, _ = make(ablated, photos)
    neutral = neutral_adain_params(learned.config.model)
    difference = model.adain_params.numpy() - neutral
    assert 0.015 < difference.std() < 0.025 and np.abs(difference).max() < 0.15
    np.testing.assert_array_equal(model.adain_params, model.ema_adain_params)
    np.testing.assert_allclose(model.w, learned.discriminator.head.w0 + embedding, atol=1e-7)


def test_a_random_embedding_is_projected_and_starts_the_discriminator(learned, photos):
    """Appendix A.2's other random start: both person-specific vectors from one random ê_NEW."""
    ablated = with_finetune(learned, adain_init="random_embedding", w_init="random")
    models = [make(ablated, photos, seed=seed)[0] for seed in (1, 2)]
    rows = [model.w.numpy() - learned.discriminator.head.w0.numpy() for model in models]
    assert np.abs(rows[0] - rows[1]).max() > 0.01 and rows[0].min() >= -1e-6 and rows[0].max() <= 0.2 + 1e-6
    for model, row in zip(models, rows, strict=True):
        bounds.assert_close(model.adain_params, learned.generator.project(row[np.newaxis])[0], terms=len(row), depth=2)
        assert np.abs(model.adain_params - learned.generator.project(model.embedding[np.newaxis])[0]).max() > 1e-3


def test_without_the_adversarial_term_the_discriminator_rests(learned, photos):
    model, _, _ = make(with_finetune(learned, adversarial=False), photos)
    model.compile(run_eagerly=True)
    before = [v.numpy() for v in (*model.features.variables, model.w)]
    history = model.fit(tf.data.Dataset.from_tensor_slices(photos).batch(8), verbose=0)
    generator = {"loss/content_pixel", "loss/generator", "grad_norm/generator"}
    assert set(history.history) == generator | {"error/l1", "skipped/updates"}
    for a, b in zip(before, (*model.features.variables, model.w), strict=True):
        np.testing.assert_array_equal(a, b)
    start = learned.generator.project(model.embedding[np.newaxis])[0]
    assert np.abs(model.adain_params - start).max() > 0


def test_an_objective_without_a_term_is_refused(learned, photos):
    ablated = with_finetune(learned, adversarial=False)
    losses = dataclasses.replace(learned.config.losses, content_pixel=0.0)
    empty = dataclasses.replace(ablated, config=dataclasses.replace(ablated.config, losses=losses))
    with pytest.raises(ValueError, match="no content term has a weight"):
        make(empty, photos)
