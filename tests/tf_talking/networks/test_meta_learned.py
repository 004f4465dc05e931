"""What is asked of meta-learned networks equals what the networks say."""

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config import ModelConfig, get_preset
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.images import landmark_images, to_float, to_uint8
from tf_talking.networks.meta_learned import MetaLearned

SIZE = 32


@pytest.fixture(scope="module")
def learned():
    model = ModelConfig(image_size=SIZE, min_channels=8, max_channels=16, generator_bottleneck=8, attention_down=16)
    config = get_preset("tiny")
    config = config.__class__(name="nano", model=model, landmarks=config.landmarks)
    tf.random.set_seed(0)
    return MetaLearned(config, "", 0, Embedder(model), Generator(model))


@pytest.fixture(scope="module")
def person():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    return frames, rng.uniform(4, 28, (3, 68, 2)).astype(np.float32)


def test_a_person_is_embedded_and_projected(learned, person):
    frames, landmarks = person
    drawn = landmark_images(learned.config, tf.constant(landmarks))
    expected = np.mean(learned.embedder(to_float(frames), drawn), axis=0)
    embedding = learned.embed_person(frames, landmarks)
    np.testing.assert_allclose(embedding, expected, rtol=1e-5, atol=1e-6)
    both = learned.embed(np.stack([frames] * 2), np.stack([landmarks] * 2))
    np.testing.assert_allclose(both, [expected] * 2, rtol=1e-5, atol=1e-6)
    psi = learned.project_person(embedding)
    assert psi.shape == (learned.config.model.adain_size,) and psi.dtype == np.float32
    np.testing.assert_allclose(psi, learned.generator.project(embedding[np.newaxis])[0])


def test_one_person_or_a_row_each_is_drawn(learned, person):
    frames, landmarks = person
    psi = learned.project_person(learned.embed_person(frames, landmarks))
    rows = np.tile(psi, (3, 1))
    drawn = landmark_images(learned.config, tf.constant(landmarks))
    expected = to_uint8(learned.generator(drawn, rows))
    for given in (psi, rows):
        frames = learned.draw(landmarks, given)
        assert frames.dtype == tf.uint8
        np.testing.assert_array_equal(frames, expected)
    assert len(np.unique(expected)) > 2
