"""serving.reproject: which cards a new model renews, which it must not touch."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from serving.reproject import CURRENT, EMBED, FINETUNE, RENEWED, renewed, reproject
from tests.commands import run_here
from tf_talking.config import config_hash
from tf_talking.networks.bundle import write_bundle
from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.people.card import PersonCard


def networks(config, seed: int, embedder=None) -> MetaLearned:
    keras.utils.set_random_seed(seed)
    generator = Generator(config.model)
    for weight in generator.trainable_weights:
        weight.assign_add(0.05 * tf.random.stateless_normal(weight.shape, seed=[seed, 2]))
    discriminator = Discriminator(config.model, num_videos=2)
    return MetaLearned(config, "run", seed, embedder or Embedder(config.model), generator, discriminator)


@pytest.fixture(scope="module")
def old(nano_config):
    return networks(nano_config, 1)


@pytest.fixture(scope="module")
def new(nano_config, old):
    """Trained on: another G and P; the embedder stayed."""
    return networks(nano_config, 2, old.embedder)


def card_of(learned, **changes) -> PersonCard:
    model, landmarks = learned.config.model, learned.config.landmarks
    vector = np.random.default_rng(5).uniform(0, 2, model.person_size).astype(np.float32)
    fields = dict(
        name="ann",
        model="generator",
        adain_params=learned.project_person(vector),
        embedding=vector[: model.embedding_size],
        config_hash="0123456789ab",
        image_size=model.image_size,
        detector=landmarks.detector,
        scheme=landmarks.scheme,
        created="2024-01-02",
        num_frames=8,
        extra={"tune": "none", "source": "photos"},
        person_vector=vector if model.person_size > model.embedding_size else None,
        **learned.fingerprints,
    )
    return PersonCard(**fields | changes)


def test_feed_forward_cards_get_their_psi_anew(old, new):
    before = card_of(old)
    outcome, why, after = renewed(before, new)
    assert (outcome, why) == (RENEWED, "")
    np.testing.assert_allclose(after.adain_params, new.project_person(before.embedding), rtol=1e-6)
    assert np.abs(after.adain_params - before.adain_params).max() > 0.01
    assert (after.fingerprint, after.config_hash) == (new.fingerprints["fingerprint"], config_hash(new.config))
    assert dataclasses.replace(
        after, adain_params=before.adain_params, fingerprint=before.fingerprint, config_hash=before.config_hash
    ) == (before)
    assert renewed(after, new) == (CURRENT, "of this model", after)


def test_borrowed_identity_is_projected_too(nano_config):
    model = dataclasses.replace(nano_config.model, borrowed_identity="sface")
    config = dataclasses.replace(nano_config, model=model)
    first = networks(config, 3)
    second = networks(config, 4, first.embedder)
    before = card_of(first)
    assert before.person_vector.size == model.embedding_size + 128
    outcome, _, after = renewed(before, second)
    assert outcome == RENEWED
    np.testing.assert_allclose(after.adain_params, second.project_person(before.person_vector), rtol=1e-6)
    outcome, why, _ = renewed(dataclasses.replace(before, person_vector=None), second)
    assert outcome == EMBED and f"holds {model.embedding_size} values of the person" in why


@pytest.mark.parametrize(
    ("changes", "outcome", "why"),
    [
        ({"model": "person_ann", "extra": {"tune": "full"}}, FINETUNE, "person_ann draws it as before"),
        ({"extra": {"tune": "psi"}}, FINETUNE, "fine-tuned for another generator"),
        ({"embedder_fingerprint": "f" * 64}, EMBED, "another embedder"),
        ({"fingerprint": "", "embedder_fingerprint": ""}, EMBED, "another embedder, or one that is not known"),
        ({"detector": "other"}, EMBED, "its detector is 'other'"),
        ({"image_size": 7}, EMBED, "its image_size is 7"),
        ({"embedding": np.ones(3, np.float32)}, EMBED, "it holds 3 values"),
    ],
)
def test_what_can_not_be_renewed_stays_as_it_is(old, new, changes, outcome, why):
    card = card_of(old, **changes)
    found, text, after = renewed(card, new)
    assert found == outcome and why in text and after is card


def test_an_old_card_of_this_very_model_is_recognised_by_its_psi(old):
    card = card_of(old, fingerprint="", embedder_fingerprint="")
    outcome, why, after = renewed(card, old)
    assert (outcome, why) == (RENEWED, "") and after == dataclasses.replace(
        card, config_hash=config_hash(old.config), adain_params=after.adain_params, **old.fingerprints
    )
    np.testing.assert_allclose(after.adain_params, card.adain_params, atol=1e-5)


def test_another_embedder_is_accepted_only_where_that_is_said(nano_config, old):
    card, other = card_of(old), networks(nano_config, 6)
    assert renewed(card, other)[0] == EMBED
    outcome, why, after = renewed(card, other, accept_other_embedder=True)
    assert outcome == RENEWED and "another embedder" in why
    assert after.fingerprint == other.fingerprints["fingerprint"]
    assert after.embedder_fingerprint == card.embedder_fingerprint  # whose ê it still is


def test_a_folder_of_cards(old, new, tmp_path):
    bundle, people = tmp_path / "new.tft", tmp_path / "people"
    write_bundle(bundle, new)
    card_of(old).save(people / "ann.npz")
    card_of(old, extra={"tune": "psi"}).save(people / "bob.npz")
    (people / "ann.png").write_bytes(b"a picture beside the card")
    untouched = (people / "bob.npz").read_bytes()
    assert reproject(bundle, people, dry_run=True) == {RENEWED: ["ann.npz"], FINETUNE: ["bob.npz"]}
    assert PersonCard.load(people / "ann.npz") == card_of(old)
    result = run_here("serving.reproject", f"--checkpoint={bundle}", f"--people={people}")
    assert result.returncode == 0, result.stderr
    assert "ann.npz: renewed\n" in result.stdout and "bob.npz: fine-tune again (its ψ" in result.stdout
    assert PersonCard.load(people / "ann.npz").fingerprint == new.fingerprints["fingerprint"]
    assert (people / "bob.npz").read_bytes() == untouched
    assert reproject(bundle, people) == {CURRENT: ["ann.npz"], FINETUNE: ["bob.npz"]}
    (people / "eve.npz").write_bytes(b"no card")
    with pytest.raises(ValueError, match="eve.npz: not an .npz file"):
        reproject(bundle, people)
    with pytest.raises(FileNotFoundError, match="nobody: no such folder"):
        reproject(bundle, tmp_path / "nobody")
