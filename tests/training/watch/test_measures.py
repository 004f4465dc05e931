"""The measured quantities on pictures and embeddings whose answer is known."""

import numpy as np
import pytest
import tensorflow as tf

from training.watch.measures import episodes_to_watch, measure


class Embedder:
    """The mean colour of a frame as its vector, [B, 3], negative values cut off."""

    def __call__(self, frames, drawn):
        return tf.nn.relu(tf.reduce_mean(frames, axis=[1, 2]))


class Generator:
    """Paints each picture in the colour that ψ̂ = ê says, or in one colour for everybody."""

    def __init__(self, size, colour=None):
        self.size, self.colour = size, colour

    def project(self, embedding):
        return embedding if self.colour is None else tf.ones_like(embedding) * self.colour

    def __call__(self, drawn, adain_params):
        return tf.ones_like(drawn) * adain_params[:, tf.newaxis, tf.newaxis]


@pytest.fixture
def run(nano_config):
    """(colours 0..255 [B, 3], video indices, K, options) → measures; frames are plain."""

    def run(colours, indices, k_shot=2, colour=None, discriminator=None):
        size, batch = nano_config.model.image_size, len(colours)
        colours = np.array(colours, np.uint8)
        target = np.broadcast_to(colours[:, None, None], (batch, size, size, 3))
        arrays = {
            "source_frames": np.repeat(target[:, None], k_shot, axis=1),
            "source_landmarks": np.full((batch, k_shot, 68, 2), 5.0, np.float32),
            "target_frame": target,
            "target_landmarks": np.full((batch, 68, 2), 5.0, np.float32),
            "video_index": np.array(indices, np.int32),
        }
        values = measure(
            nano_config,
            Embedder(),
            Generator(size, colour),
            {n: tf.constant(a) for n, a in arrays.items()},
            discriminator,
        )
        return {name.removeprefix("watch/"): float(value) for name, value in values.items()}

    return run


LIGHT = [[255, 191, 191], [191, 255, 191], [191, 191, 255]]


def test_a_generator_that_listens(run):
    values = run(LIGHT, [0, 1, 2])
    assert values["error"] == pytest.approx(0, abs=1e-5)
    assert values["swap_to_real"] == pytest.approx(1, rel=1e-4)
    # Two of three channels differ by 64 levels of 127.5.
    assert values["swap"] == pytest.approx(2 / 3 * 64 / 127.5, rel=1e-4)
    assert values["embedding_zero"] == 0
    assert values["embedding_within"] == pytest.approx(0, abs=1e-9)
    assert values["embedding_between"] == pytest.approx(np.var([0, 0, 64 / 127.5]), rel=1e-4)
    assert max(values["contrast_fake"], values["contrast_real"]) < 1e-5  # plain frames
    assert values["spread_fake"] == pytest.approx(values["spread_real"], rel=1e-4)
    assert values["spread_real"] > 0.2


def test_a_generator_that_does_not_listen(run):
    values = run(LIGHT, [0, 1, 2], colour=0.25)
    assert values["swap"] == values["swap_to_real"] == values["spread_fake"] == 0
    assert values["swap_real"] > 0.3 and values["error"] > 0.1


@pytest.mark.parametrize(
    ("colour", "black", "red", "saturated"),
    [([-1, -1, -1], 1, 0, 1), ([1, -1, -1], 0, 1, 1), ([1, 1, 1], 0, 0, 1), ([0, 0, 0], 0, 0, 0)],
)
def test_shares_of_spoilt_pixels(run, colour, black, red, saturated):
    values = run(LIGHT, [0, 1, 2], colour=tf.constant([colour], tf.float32))
    assert (values["black_fake"], values["red_fake"]) == (black, red)
    assert values["saturated_fake"] == saturated
    assert values["black_real"] == values["red_real"] == 0
    assert values["saturated_real"] == pytest.approx(1 / 3, rel=1e-5)  # the 255s


def test_dark_frames_count_as_real_black_and_dead_embeddings(run):
    values = run([[0, 0, 0], [2, 2, 2]], [0, 1])
    assert values["black_real"] == 1 and values["embedding_zero"] == 1
    assert values["embedding_rms"] == values["embedding_spread"] == 0


def test_persons_are_swapped_with_another_video_only(run):
    """Rows 0 and 1 are of one video and alike: swapping them would count as no change."""
    values = run([LIGHT[0], LIGHT[0], LIGHT[1]], [7, 7, 3])
    assert values["swap"] == pytest.approx(2 / 3 * 64 / 127.5, rel=1e-4)
    assert np.isnan(run(LIGHT, [4, 4, 4])["swap_to_real"])  # nobody to swap with


def test_a_batch_of_one_leaves_out_what_needs_two(run):
    values = run([LIGHT[0]], [0])
    assert not any(n.startswith(("swap", "spread", "embedding_between")) for n in values)
    assert {"error", "black_fake", "contrast_fake", "embedding_rms", "embedding_within"} <= set(values)
    assert all(np.isfinite(v) for v in values.values())


def test_one_source_frame_has_no_variance_within(run):
    values = run(LIGHT, [0, 1, 2], k_shot=1)
    assert "embedding_within" not in values and values["embedding_between"] > 0


def test_signs_of_scores(run):
    scores = iter([tf.constant([1.0, 2.0, -1.0]), tf.constant([-1.0, 0.5, 0.5])])
    values = run(LIGHT, [0, 1, 2], discriminator=lambda *inputs: (next(scores), []))
    assert values["right_real"] == pytest.approx(2 / 3)
    assert values["right_fake"] == pytest.approx(1 / 3)


def test_episodes_to_watch_are_few_and_of_static_shape(nano_batch):
    dataset = tf.data.Dataset.from_tensors(nano_batch).repeat()
    batch = episodes_to_watch(dataset, count=3, frames=1)
    assert batch["source_frames"].shape[:2] == batch["source_landmarks"].shape[:2] == [3, 1]
    assert batch["video_index"].numpy().tolist() == [0, 3, 3]
    np.testing.assert_array_equal(batch["target_frame"], nano_batch["target_frame"][:3])
