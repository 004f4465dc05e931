"""Identity borrowed from a recogniser: what P sees, and that the exported embedder brings it."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config import config_hash
from tf_talking.content.sface.network import build_sface
from tf_talking.dataset.folder import DatasetInfo
from tf_talking.networks import borrowed_identity
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.served.graphs import save_embedder


@pytest.fixture(scope="module")
def learned(nano_config):
    model = dataclasses.replace(nano_config.model, borrowed_identity="sface")
    config = dataclasses.replace(nano_config, model=model)
    tf.random.set_seed(0)
    return MetaLearned(config, "", 0, Embedder(model), Generator(model))


@pytest.fixture(scope="module")
def people(learned):
    rng = np.random.default_rng(0)
    size = learned.config.model.image_size
    frames = rng.integers(0, 256, (2, 3, size, size, 3), np.uint8)
    return frames, rng.uniform(4, 28, (2, 3, 68, 2)).astype(np.float32)


def test_vector_is_ê_and_the_mean_of_unit_embeddings_at_a_fixed_length():
    rng = np.random.default_rng(0)
    embedding, vectors = rng.normal(size=(2, 5)), rng.normal(size=(2, 3, 4)) * [[[1.0]], [[9.0]]]
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    mean = unit.mean(axis=1)
    expected = borrowed_identity.SCALE * mean / np.linalg.norm(mean, axis=-1, keepdims=True)
    person = borrowed_identity.person_vector(tf.constant(embedding), tf.constant(vectors))
    np.testing.assert_allclose(person[:, :5], embedding)
    np.testing.assert_allclose(person[:, 5:], expected, rtol=1e-6)


def test_person_is_embedded_by_both(learned, people):
    frames, landmarks = people
    person = learned.embed(tf.constant(frames), tf.constant(landmarks)).numpy()
    size = learned.config.model.embedding_size
    assert person.shape == (2, size + 128)
    plain = MetaLearned(
        dataclasses.replace(learned.config, model=dataclasses.replace(learned.config.model, borrowed_identity="none")),
        "",
        0,
        learned.embedder,
        learned.generator,
    )
    np.testing.assert_allclose(person[:, :size], plain.embed(tf.constant(frames), tf.constant(landmarks)), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(person[:, size:], axis=1), borrowed_identity.SCALE, rtol=1e-5)
    known = borrowed_identity.recognise(build_sface(), tf.constant(frames[0]), tf.constant(landmarks[0]))
    again = borrowed_identity.person_vector(tf.zeros([1, size]), known[None])
    np.testing.assert_allclose(person[:1, size:], again[:, size:], atol=1e-4)
    assert learned.project(person).shape == (2, learned.config.model.adain_size)


def test_compiled_projection_has_the_recognisers_weights(learned, people):
    """A network that is built while a graph is traced is left with random ones."""
    frames, landmarks = map(tf.constant, people)
    fresh = dataclasses.replace(learned)
    with pytest.raises(RuntimeError, match="recogniser: built inside a graph"):
        tf.function(fresh.embed, autograph=False)(frames, landmarks)
    expected = learned.project(learned.embed(frames, landmarks))
    found = fresh.compile_projection()(frames, landmarks)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    others = learned.project(learned.embed(frames[::-1], landmarks[::-1]))
    assert np.abs(expected - others).max() > 1e-3  # whose vectors differ by more


def test_exported_embedder_equals_the_networks(learned, people, tmp_path):
    frames, landmarks = people
    save_embedder(tmp_path / "1", learned.config, learned.embedder, learned.generator, batch_sizes=[1])
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    answer = served(frames=tf.constant(frames), landmarks=tf.constant(landmarks))
    person = learned.embed(tf.constant(frames), tf.constant(landmarks))
    size = learned.config.model.embedding_size
    assert answer["embedding"].shape == (2, size)  # what a card and D know
    np.testing.assert_allclose(answer["embedding"], person[:, :size], rtol=1e-3, atol=1e-5)
    psi = learned.project(person).numpy()
    assert np.abs(answer["adain_params"].numpy() - psi).max() < 1e-3 * np.abs(psi).max()


def test_parameters_of_p_and_the_hash_follow(learned, nano_config):
    model = learned.config.model
    assert learned.generator.projection.kernel.shape == [model.embedding_size + 128, model.adain_size]
    assert config_hash(learned.config) != config_hash(nano_config)


def test_dataset_without_embeddings_is_refused(learned):
    landmarks = learned.config.landmarks
    info = DatasetInfo(learned.config.model.image_size, landmarks.detector, landmarks.scheme, 68)
    with pytest.raises(ValueError, match="no embeddings of 'sface'.* --borrowed_identity=sface"):
        info.check_made_for(learned.config)
    dataclasses.replace(info, borrowed_identity="sface").check_made_for(learned.config)
