"""Invariant 1: sizes of the networks, shapes and errors; invariant 9 is in tests/conformance."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config import ModelConfig, get_preset
from tf_talking.networks.discriminator import Discriminator, ProjectionHead, realism_score
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator, neutral_adain_params, split_adain_params
from tf_talking.summary import summarize

TINY = get_preset("tiny").model


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(0)
    return Embedder(TINY), Generator(TINY), Discriminator(TINY, num_videos=4)


def images(*shape, seed=0):
    size = TINY.image_size
    return tf.random.stateless_uniform([*shape, size, size, 3], seed=[seed, 1], minval=-1, maxval=1)


def test_parameter_counts_of_the_paper():
    facts = summarize("paper")
    assert facts["embedder"] == pytest.approx(14.9e6, rel=2e-3)
    assert facts["generator_with_projection"] == pytest.approx(38.0e6, rel=2.5e-3)
    assert facts["discriminator_features"] == pytest.approx(19.6e6, rel=2e-3)
    assert facts["adain_size"] == 13_056
    assert facts["projection"] == 512 * 13_056 + 13_056


def test_attention_sits_where_the_paper_puts_it():
    paper = get_preset("paper").model
    generator, embedder = Generator(paper), Embedder(paper)
    assert sorted(generator.attentions) == ["down2", "up1"]  # 256 → 32 and 16 → 64
    assert [b.name for b in paper.plan().down if b.attention] == ["down2"]
    assert embedder.down.attention.name == "down2_attention"
    assert not Generator(get_preset("fsth").model).attentions


def test_order_of_weights_is_that_of_optimizers_in_checkpoints(networks):
    """Slots are saved by number: another order could not read an older run."""
    embedder, generator, discriminator = networks
    order = [*generator.attentions.values(), *generator.blocks, generator.final_conv]
    for network, layers in (
        (generator, [*order, generator.projection]),
        (embedder, [*embedder.down.blocks, embedder.down.attention]),
        (discriminator, [discriminator.features, discriminator.head]),
    ):
        expected = [id(weight) for layer in layers for weight in layer.trainable_weights]
        assert [id(weight) for weight in network.trainable_weights] == expected


def test_embedding_is_the_mean_over_k(networks):
    embedder = networks[0]
    frames, drawn = images(2, 3), images(2, 3, seed=1)
    mean = np.mean([embedder(frames[:, k], drawn[:, k]) for k in range(3)], axis=0)
    np.testing.assert_allclose(embedder.embed(frames, drawn), mean, atol=1e-6)
    assert (mean >= 0).all()  # ReLU comes last


@pytest.mark.parametrize("index", [0, 1, 2])
def test_first_blocks_see_the_dark_half_of_pictures(networks, index):
    """Beside the skip, what is below 0 reaches the first convolution."""
    network = (networks[0].down, networks[1], networks[2].features.down)[index]
    blocks = network.blocks
    assert [block.first for block in blocks] == [True] + [False] * (len(blocks) - 1)
    dark = -tf.random.stateless_uniform([2, 64, 64, 3 if index == 1 else 6], [5, 6], 0.1, 0.9)
    branch = blocks[0](dark) - blocks[0]._shortcut(dark)
    assert np.abs(branch[0] - branch[1]).max() > 1e-3  # behind a leading ReLU both would be black


def test_pooling_orders_differ():
    from tf_talking.networks.down_stack import pool

    x = tf.constant([[[[1.0, -2.0]], [[3.0, 1.0]]]])
    np.testing.assert_array_equal(pool(x, "sum_relu"), [[4.0, 0.0]])
    np.testing.assert_array_equal(pool(x, "relu_sum"), [[4.0, 1.0]])


def test_224_pixels_of_the_papers_second_data_set():
    """Not a power of two: every block still halves or doubles, from 7 and 14 pixels on."""
    sizes = {"image_size": 224, "embedder_bottleneck": 7, "generator_bottleneck": 14, "attention_down": 28}
    config = ModelConfig(min_channels=4, max_channels=8, num_residual_blocks=1, attention_up=56, **sizes)
    plan = config.plan()
    assert [block.output_size for block in plan.down] == [112, 56, 28, 14, 7]
    assert [block.size for block in plan.generator] == [224, 112, 56, 28, 14, 14, 28, 56, 112]
    assert [block.name for block in plan.generator if block.attention] == ["down2", "up1"]
    frames = tf.random.stateless_uniform([1, 1, 224, 224, 3], [1, 2])
    embedding = Embedder(config).embed(frames, frames)
    generator = Generator(config)
    assert generator(frames[0], generator.project(embedding)).shape == [1, 224, 224, 3]


def test_generator_output_range_and_shape(networks):
    generator = networks[1]
    psi = np.tile(neutral_adain_params(TINY), (2, 1))
    frames = generator(images(2), psi)
    assert frames.shape == [2, 64, 64, 3] and frames.dtype == tf.float32
    assert np.abs(frames).max() <= 1.0 and np.std(frames) > 1e-3


def test_projection_starts_neutral(networks):
    generator = networks[1]
    psi = generator.project(tf.zeros([1, TINY.embedding_size]))[0]
    np.testing.assert_array_equal(psi, neutral_adain_params(TINY))
    shift, scale = next(split_adain_params(TINY, psi[tf.newaxis]))
    assert not np.any(shift) and np.all(scale == 1.0)


def test_discriminator_is_equation_5(networks):
    discriminator = networks[2]
    frames, drawn = images(2), images(2, seed=1)
    vector, activations = discriminator.features(frames, drawn)
    head = discriminator.head
    expected = np.sum(vector * (head.w.numpy()[[1, 3]] + head.w0), axis=1) + head.bias
    scores, _ = discriminator(frames, drawn, tf.constant([1, 3]))
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
    assert len(activations) == len(TINY.plan().down) + 1


def test_gradient_of_w_is_sparse(networks):
    head = networks[2].head
    with tf.GradientTape() as tape:
        score = head(tf.ones([2, TINY.embedding_size]), tf.constant([1, 1]))
    gradient = tape.gradient(score, head.w)
    assert isinstance(gradient, tf.IndexedSlices)
    np.testing.assert_array_equal(gradient.indices, [1, 1])


def test_spectral_norm_on_w():
    head = ProjectionHead(6, 8, spectral_norm=True)
    head.power_iteration(200)
    rows = head.video_embedding(tf.range(6))
    assert np.linalg.norm(rows, 2) == pytest.approx(1.0, abs=1e-4)
    # As in the authors' later release: the one singular value of w0 is its length.
    head.w0.assign(np.arange(8.0))
    unit = np.arange(8.0) / np.linalg.norm(np.arange(8.0))
    np.testing.assert_allclose(head.common_vector(), unit, rtol=1e-6)
    vector = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    expected = np.sum(vector * (rows.numpy()[[4, 1]] + unit), axis=1)
    np.testing.assert_allclose(head(vector, tf.constant([4, 1])), expected, rtol=1e-5)


def test_scores_are_raw():
    vector, w = tf.fill([1, 4], 10.0), tf.fill([4], 10.0)
    assert float(realism_score(vector, w, tf.constant(1.0))[0]) == 401.0


def test_wrong_shapes_are_named(networks):
    embedder, generator, discriminator = networks
    small = tf.zeros([1, 32, 32, 3])
    with pytest.raises(ValueError, match=r"frames: got shape \(1, 32, 32, 3\)"):
        embedder(small, images(1))
    with pytest.raises(ValueError, match="landmark_images"):
        discriminator.features(images(1), small)
    with pytest.raises(ValueError, match=r"adain_params: got shape \(1, 7\)"):
        generator(images(1), tf.zeros([1, 7]))
    with pytest.raises(ValueError, match="num_videos: got 0"):
        Discriminator(TINY, num_videos=0)


@pytest.mark.parametrize("preset", ["fsth", "tiny", "small"])
def test_presets_build_and_run(preset):
    config = get_preset(preset).model
    small = ModelConfig(**{**config.__dict__, "image_size": 32, "min_channels": 8, "max_channels": 16})
    psi = Generator(small).project(Embedder(small)(tf.zeros([1, 32, 32, 3]), tf.zeros([1, 32, 32, 3])))
    assert psi.shape == [1, small.adain_size]
