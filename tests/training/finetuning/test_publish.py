"""The callbacks in somebody else's `fit`: a model that this project does not know."""

import dataclasses

import cv2
import numpy as np
import pytest

from tf_talking.networks.fingerprints import fingerprint
from tf_talking.networks.generator import Generator, neutral_adain_params
from tf_talking.people.card import PersonCard
from tf_talking.served.folder import ServingFolder
from tf_talking.served.graphs import read_metadata, save_generator
from training.finetuning.publish import ExportForServing, PersonToServe, publish_person


@pytest.fixture(scope="module")
def person(nano_config):
    psi = neutral_adain_params(nano_config.model)
    embedding = np.ones(nano_config.model.embedding_size, np.float32)
    generator = Generator(nano_config.model, with_projection=False)
    return PersonToServe(nano_config, psi, embedding, 8, generator, "photos of ann")


def test_export_at_the_end_writes_model_and_card(tmp_path, dense, fit, person):
    callback = ExportForServing(tmp_path, "ann", lambda model: person)
    fit(dense, 2, callback)
    folder = ServingFolder(tmp_path)
    assert folder.versions("person_ann") == [1]
    assert (tmp_path / "person_ann/1/saved_model.pb").is_file()
    card = PersonCard.load(callback.card_path)
    assert (card.name, card.model, card.num_frames) == ("ann", "person_ann", 8)
    np.testing.assert_array_equal(card.adain_params, person.adain_params)
    assert card.detector == "procedural" and card.extra["source"] == "photos of ann"
    names = [m.name for m in folder.read_models_config().model_config_list.config]
    assert names == ["person_ann"]


def test_export_every_n_epochs_adds_versions(tmp_path, dense, fit, person):
    fit(dense, 3, ExportForServing(tmp_path, "ann", lambda model: person, every=2))
    assert ServingFolder(tmp_path).versions("person_ann") == [1, 2]


@pytest.mark.bfloat16
def test_own_generator_is_exported_as_the_shared_one_was(tmp_path, person):
    folder = ServingFolder(tmp_path)
    folder.publish(
        "generator",
        lambda path: save_generator(path, person.config, person.generator, 80, device="gpu", dtype="bfloat16"),
    )
    publish_person(folder, "ann", person)
    facts = read_metadata(tmp_path / "person_ann/1")
    assert (facts["device"], facts["dtype"], facts["jpeg_quality"]) == ("gpu", "bfloat16", 80)


def test_feed_forward_person_is_a_card_only(tmp_path, person):
    shared, serving = dataclasses.replace(person, generator=None), tmp_path / "new" / "serving"
    card = PersonCard.load(publish_person(ServingFolder(serving), "bob", shared))
    assert card.model == "generator"
    assert [p.name for p in serving.iterdir()] == ["people"]


def test_cards_carry_the_fingerprint_of_what_draws_them(tmp_path, person):
    folder, prints = ServingFolder(tmp_path), dict(fingerprint="a" * 64, embedder_fingerprint="b" * 64)
    vector = np.arange(person.config.model.embedding_size + 128, dtype=np.float32)
    own = dataclasses.replace(person, **prints)
    shared = dataclasses.replace(own, generator=None, embedding=vector)
    card = PersonCard.load(publish_person(folder, "ann", own))
    assert card.fingerprint == fingerprint(person.generator) == read_metadata(tmp_path / "person_ann/1")["fingerprint"]
    assert (card.embedder_fingerprint, card.person_vector) == ("b" * 64, None)
    card = PersonCard.load(publish_person(folder, "bob", shared))
    assert (card.fingerprint, card.embedder_fingerprint) == ("a" * 64, "b" * 64)
    np.testing.assert_array_equal(card.person_vector, vector)
    np.testing.assert_array_equal(card.embedding, vector[:-128])


def test_source_picture_lies_beside_the_card(tmp_path, person):
    frame = np.full((8, 8, 3), (250, 20, 0), np.uint8)
    card = publish_person(ServingFolder(tmp_path), "ann", dataclasses.replace(person, source_frame=frame))
    assert cv2.imread(str(card.with_suffix(".png")))[0, 0].tolist() == [0, 20, 250]


def test_bad_name_fails_before_training(tmp_path, person):
    with pytest.raises(ValueError, match="'../ann'"):
        ExportForServing(tmp_path, "../ann", lambda model: person)
