"""Fine-tuning that knows when to stop."""

import json
import math
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.meta_learned import MetaLearned
from training.finetuning.knee import StopAtKnee, geometric_mean_error, knee_of_person, past_knee
from training.finetuning.looks import WatchEvery, measure_on
from training.finetuning.model import PersonalModel
from training.person.frames import PersonFrames


class Counter(keras.Model):
    """Its one weight is the number of epochs of one batch."""

    def __init__(self):
        super().__init__()
        self.epochs = self.add_weight(name="epochs", shape=(), initializer="zeros")
        self.built = True

    def train_step(self, data):
        self.epochs.assign_add(1.0)
        return {"epochs": self.epochs}


def counted(values, **options):
    """(model, callback) after a `fit` in which the look after epoch n saw values[n]."""
    model = Counter()
    model.compile(run_eagerly=True)
    options = {"every": 1, "patience": 2, "tolerance": 0.01, **options}
    callback = StopAtKnee(lambda model: {"l1": values[int(model.epochs)]}, lambda model: [model.epochs], **options)
    model.fit(np.zeros((1, 1)), epochs=len(values) - 1, verbose=0, callbacks=[callback])
    return model, callback


@pytest.mark.parametrize(
    "values, higher_is_better, past",
    [
        ([1.0], False, False),
        ([1.0, 0.9, 0.8], False, False),
        ([1.0, 0.9, 0.895, 0.894], False, True),  # less than 1 % better than 0.9
        ([1.0, 0.9, 0.895, 0.89], False, False),  # slowly, but 1.1 % by now
        ([1.0, 1.1, 1.2], False, True),
        ([1.0, 1.1, 1.2], True, False),
        ([0.0, -1.0, -2.0], False, False),
        ([-1.0, -0.995, -0.992], True, True),
        ([1.0, math.nan, math.inf], False, True),
        ([math.nan, 1.0, 0.9], False, False),
    ],
)
def test_where_the_knee_is(values, higher_is_better, past):
    assert past_knee(values, 2, 0.01, higher_is_better) is past


def test_it_stops_and_gives_back_the_best_weights():
    model, callback = counted([5.0, 4.0, 3.0, 3.5, 3.6, 1.0, 1.0])
    assert callback.best_epoch == 2 and float(model.epochs) == 2.0
    assert callback.curve == [{"epoch": n, "l1": v} for n, v in enumerate([5.0, 4.0, 3.0, 3.5, 3.6])]


def test_best_weights_of_a_fit_that_goes_to_its_end():
    model, callback = counted([5.0, 4.0, 3.0, 3.5])
    assert len(callback.curve) == 4 and float(model.epochs) == 2.0


def test_training_that_only_harms_is_undone():
    model, callback = counted([1.0, 2.0, 3.0, 4.0])
    assert callback.best_epoch == 0 and float(model.epochs) == 0.0


def test_higher_can_be_better():
    model, callback = counted([0.1, 0.5, 0.4, 0.3, 0.9], higher_is_better=True)
    assert callback.best_epoch == 1 and float(model.epochs) == 1.0


def test_it_looks_every_few_epochs():
    model, callback = counted([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0], every=3)
    assert [row["epoch"] for row in callback.curve] == [0, 3, 6]
    assert callback.best_epoch == 6 and float(model.epochs) == 6.0


def test_values_that_are_not_finite():
    model, callback = counted([math.nan, 2.0, math.nan, math.nan, 1.0])
    assert callback.best_epoch == 1 and float(model.epochs) == 1.0
    model, callback = counted([math.nan] * 5)
    assert callback.best_epoch is None and float(model.epochs) == 1.0


@pytest.mark.parametrize("options", [{"every": 0}, {"patience": 0}, {"tolerance": -0.1}])
def test_senseless_limits(options):
    with pytest.raises(ValueError, match="expected at least 1, 1 and 0"):
        counted([1.0, 1.0], **options)


class Killed(Exception):
    pass


class KillAfter(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self._epoch:
            raise Killed


def test_killed_fit_goes_on_to_the_same_end(tmp_path):
    """Killed after epoch 4, goes on from a backup of epoch 2; it was best after epoch 3."""
    values = [9.0, 8.0, 7.0, 3.0, 3.5, 3.6, 3.7, 1.0]
    backup = tmp_path / "backups" / "knee.npz"

    def knee():
        return StopAtKnee(
            lambda model: {"l1": values[int(model.epochs)]},
            lambda model: [model.epochs],
            every=1,
            patience=3,
            backup=backup,
        )

    model = Counter()
    model.compile(run_eagerly=True)
    data = np.zeros((1, 1))
    with pytest.raises(Killed):
        model.fit(data, epochs=7, verbose=0, callbacks=[knee(), KillAfter(4)])
    assert [path.name for path in backup.parent.iterdir()] == ["knee.npz"]
    again = Counter()
    again.compile(run_eagerly=True)
    again.epochs.assign(2.0)
    callback = knee()
    again.fit(data, initial_epoch=2, epochs=7, verbose=0, callbacks=[callback])
    assert [(row["epoch"], row["l1"]) for row in callback.curve] == list(enumerate(values[:7]))
    assert callback.best_epoch == 3 and float(again.epochs) == 3.0
    assert not backup.exists()


def test_watching_changes_nothing():
    model = Counter()
    model.compile(run_eagerly=True)
    watch = WatchEvery(lambda model: {"l1": float(model.epochs)}, every=2)
    for _ in range(2):  # a second fit is a new curve
        model.epochs.assign(0.0)
        model.fit(np.zeros((1, 1)), epochs=5, verbose=0, callbacks=[watch])
        assert watch.curve == [{"epoch": n, "l1": float(n)} for n in (0, 2, 4)]
    assert int(model.epochs) == 5


def test_curve_is_written_as_lines(tmp_path):
    _, callback = counted([2.0, math.nan, 1.0])
    callback.write_curve(tmp_path / "curve.jsonl")
    lines = (tmp_path / "curve.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"epoch": 0, "l1": 2.0},
        {"epoch": 1, "l1": None},
        {"epoch": 2, "l1": 1.0},
    ]


class Drifting(PersonalModel):
    """Trains by moving ψ' a step; drawing and averaging are the real ones."""

    def train_step(self, data):
        self.adain_params.assign_add(tf.linspace(0.0, 0.5, self.adain_params.shape[0]))
        self._update_ema()
        return {}


def test_personal_model_ends_with_its_best_averaged_weights(nano_config):
    """Held out is what it draws after four epochs: later ones are too many."""
    keras.utils.set_random_seed(3)
    networks = (
        Embedder(nano_config.model),
        Generator(nano_config.model),
        Discriminator(nano_config.model, num_videos=4),
    )
    learned = MetaLearned(nano_config, "checkpoint", 1, *networks)
    model = Drifting(learned, np.full(nano_config.model.max_channels, 0.1), tune="psi")
    model.compile(run_eagerly=True)
    start = model.adain_params.numpy()
    data = np.zeros((1, 1))
    model.fit(data, epochs=4, verbose=0)
    best = model.ema_adain_params.numpy()
    landmarks = np.random.default_rng(0).uniform(4, 28, (2, 68, 2)).astype(np.float32)
    held_out = PersonFrames(model(landmarks).numpy(), landmarks, "after four epochs")
    model.adain_params.assign(start)
    model.ema_adain_params.assign(start)

    measure = measure_on(held_out, ("l1", "ssim"))
    callback = StopAtKnee(measure, lambda model: [model.ema_adain_params], every=2, patience=2)
    model.fit(data, epochs=20, verbose=0, callbacks=[callback])
    assert [row["epoch"] for row in callback.curve] == [0, 2, 4, 6, 8]
    assert callback.best_epoch == 4
    errors = [row["l1"] for row in callback.curve]
    assert errors[0] > errors[1] > errors[2] == 0.0 < errors[3] < errors[4]
    assert callback.curve[2]["ssim"] == pytest.approx(1.0)
    np.testing.assert_array_equal(model.ema_adain_params, best)
    np.testing.assert_array_equal(model(landmarks), held_out.frames)


def test_error_of_pixels_and_identity():
    values = {"face_l1": 0.04, "csim": 0.75, "landmark_error": 9.0}
    assert geometric_mean_error(values, ["face_l1"]) == pytest.approx(0.04)
    assert geometric_mean_error(values, ["face_l1", "csim"]) == pytest.approx(0.1)
    # A tenth less of either is worth the same.
    less_l1, more_csim = values | {"face_l1": 0.036}, values | {"csim": 0.775}
    assert geometric_mean_error(less_l1, ["face_l1", "csim"]) == pytest.approx(
        geometric_mean_error(more_csim, ["face_l1", "csim"])
    )
    assert geometric_mean_error({"csim": 1.0 + 1e-7}, ["csim"]) == 0.0
    assert math.isnan(geometric_mean_error({"l1": math.nan, "csim": 0.5}, ["l1", "csim"]))


def test_identity_decides_with_the_pixels(monkeypatch):
    """L1 of the face is best after two epochs, CSIM after six: the knee lies between."""
    l1 = [0.30, 0.20, 0.10, 0.105, 0.11, 0.115, 0.12, 0.125, 0.13, 0.135]
    csim = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.61, 0.61, 0.61, 0.61]
    seen = types.SimpleNamespace(epoch=0)
    monkeypatch.setattr(
        "training.finetuning.knee.measure_on",
        lambda watch, metrics, needs: lambda model: {
            name: {"face_l1": l1, "csim": csim}[name][seen.epoch] for name in metrics
        },
    )

    def ends(metrics):
        model = Counter()
        model.compile(run_eagerly=True)
        model.drawn_variables = [model.epochs]
        callback = knee_of_person(None, metrics)
        callback._every = 1
        seen.epoch = 0

        class Count(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                seen.epoch = epoch + 1

        model.fit(np.zeros((1, 1)), epochs=9, verbose=0, callbacks=[Count(), callback])
        return callback

    alone = ends(["face_l1"])
    assert alone.best_epoch == 2 and list(alone.curve[0]) == ["epoch", "face_l1"]
    both = ends(["csim", "face_l1"])
    assert both.best_epoch == 5 and list(both.curve[0]) == ["epoch", "error", "face_l1", "csim"]
    assert both.curve[5]["error"] == pytest.approx(math.sqrt(0.115 * 0.4))
    assert len(both.curve) == 8  # two looks on, then it stops


def test_something_must_decide():
    with pytest.raises(ValueError, match="expected one of"):
        knee_of_person(None, ["csim"])
