"""What a job refuses and publishes, and how it goes on after one of an older version."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.files import only_one
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.networks.fingerprints import fingerprint
from tf_talking.networks.images import to_float, to_uint8
from tf_talking.people.card import PersonCard
from tf_talking.served.graphs import read_metadata
from training.finetuning import job as job_module
from training.finetuning.job import FinetuneJob, finetune, log_file
from training.finetuning.knee import StopAtKnee
from training.person.frames import PersonFrames
from training.updates.content import ContentFiles


@pytest.mark.parametrize("name", ["recogniser", "landmark_detector"])
def test_what_only_the_knee_reads_is_refused_without_it(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: is used with stop_at_knee only"):
        FinetuneJob("ann", "serving", tmp_path, **{name: "mediapipe"})


def test_log_under_the_names_of_before_is_put_aside(tmp_path):
    path = tmp_path / "log.csv"
    assert log_file(tmp_path) == path and not list(tmp_path.iterdir())
    path.write_text("epoch,error/l1,loss/generator\n0,0.1,2.0\n")
    assert log_file(tmp_path) == path and path.is_file()
    path.write_text("epoch,generator_loss,l1\n0,2.0,0.1\n")
    assert log_file(tmp_path) == path and not path.exists()
    assert (tmp_path / "log_before.csv").read_text().startswith("epoch,generator_loss")


@pytest.fixture
def person(nano_config):
    size = nano_config.model.image_size
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (2, size, size, 3)).astype(np.uint8)
    return PersonFrames(frames, generator.uniform(2, size - 2, (2, 68, 2)).astype(np.float32), "photos")


@pytest.mark.parametrize(("tune", "epochs"), [("psi", 0), ("psi", 1), ("full", 1)])
def test_a_card_carries_the_fingerprints_of_the_networks_that_it_belongs_to(learned, person, tmp_path, tune, epochs):
    """Also after training: of the shared generator as it is exported, or of the person's own."""
    before = {name: fingerprint(network) for name, network in (("G", learned.generator), ("E", learned.embedder))}
    job = FinetuneJob("ann", str(tmp_path / "serving"), tmp_path / "out", epochs=epochs, tune=tune)
    card = PersonCard.load(finetune(job, learned, person))
    assert card.embedder_fingerprint == before["E"]
    if tune == "full":
        own = read_metadata(tmp_path / "serving/person_ann/1")["fingerprint"]
        assert card.fingerprint == own != before["G"]
    else:
        assert card.fingerprint == before["G"]


@pytest.mark.parametrize("held", ["serving/people/.ann.lock", "out/.lock"])
def test_two_jobs_of_one_person_or_output_do_not_run_at_once(learned, person, tmp_path, held):
    job = FinetuneJob("ann", str(tmp_path / "serving"), tmp_path / "out", epochs=1, tune="psi")
    with only_one(tmp_path / held, "the other"):
        with pytest.raises(RuntimeError, match="person 'ann'.*: process .* is at it already"):
            finetune(job, learned, person)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [], "nothing was written"


def test_other_people_and_feed_forward_cards_are_not_kept_out(learned, person, tmp_path):
    job = FinetuneJob("bob", str(tmp_path / "serving"), tmp_path / "out", epochs=0)
    with only_one(tmp_path / "serving/people/.ann.lock", "ann"), only_one(tmp_path / "out/.lock", "ann"):
        card = finetune(job, learned, person)
    assert PersonCard.load(card).name == "bob"
    assert [path.name for path in card.parent.glob(".*")] == []


def test_what_is_served_draws_what_the_last_preview_shows(learned, nano_config, tmp_path):
    """The EMA copy with its ψ, not the trained weights: after a few large steps they differ."""
    tuning = dataclasses.replace(nano_config.finetune, learning_rate=3e-2, ema_decay=0.9)
    config = dataclasses.replace(nano_config, finetune=tuning)
    size, rng = config.model.image_size, np.random.default_rng(0)
    landmarks = rng.uniform(8, size - 8, (2, 68, 2)).astype(np.float32)
    person = PersonFrames(rng.integers(0, 256, (2, size, size, 3), np.uint8), landmarks, "noise")
    content = ContentFiles(vgg19="none", face_features="none")
    job = FinetuneJob("ann", str(tmp_path / "serving"), tmp_path / "out", epochs=4, content=content)
    finetune(job, dataclasses.replace(learned, config=config), person)
    shown = cv2.imread(str(tmp_path / "out/previews/epoch_0004.png"))[..., ::-1]
    shown = np.stack([row[:, -size:] for row in np.split(shown, 2)]).astype(int)
    before = cv2.imread(str(tmp_path / "out/previews/epoch_0000.png"))[..., ::-1]
    assert np.abs(shown - np.stack([row[:, -size:] for row in np.split(before, 2)])).mean() > 5
    card = PersonCard.load(tmp_path / "serving/people/ann.npz")
    assert card.model == "person_ann"
    served = tf.saved_model.load(str(tmp_path / "serving/person_ann/1")).signatures["serving_default"]
    drawn = tf.constant(landmark_picture(config.landmarks, landmarks, size))
    psi = tf.constant(np.stack([card.adain_params] * 2))
    frames = served(landmark_images=drawn, adain_params=psi)["frames"].numpy().astype(int)
    assert np.abs(frames - shown).max() <= 1


def test_what_is_served_after_the_knee_are_the_best_weights(learned, person, tmp_path, monkeypatch):
    """They are put back before anything is exported: what was best is the untrained model here."""
    monkeypatch.setattr(job_module, "look_for_knee", lambda *_: (person, StopAtKnee(rising, drawn_variables, every=1)))
    content = ContentFiles(vgg19="none", face_features="none")
    job = FinetuneJob("ann", str(tmp_path / "serving"), tmp_path / "out", epochs=3, stop_at_knee=True, content=content)
    card = PersonCard.load(finetune(job, learned, person))
    np.testing.assert_array_equal(card.adain_params, learned.project_person(card.embedding))
    curve = [json.loads(line) for line in (tmp_path / "out/knee.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in curve] == [0, 1, 2]
    drawn = tf.constant(landmark_picture(learned.config.landmarks, person.landmarks, learned.config.model.image_size))
    psi = tf.constant(np.stack([card.adain_params] * 2))
    served = tf.saved_model.load(str(tmp_path / "serving/person_ann/1")).signatures["serving_default"]
    frames = served(landmark_images=drawn, adain_params=psi)["frames"].numpy().astype(int)
    untrained = learned.generator(to_float(drawn), psi)
    assert np.abs(frames - to_uint8(untrained).numpy().astype(int)).max() <= 1


def rising(model):
    """A value that every update makes worse."""
    return {"error": float(model.generator_optimizer.iterations)}


def drawn_variables(model):
    return model.drawn_variables
