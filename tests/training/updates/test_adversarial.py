"""One update, two users: W_i + w0 and w' give the same gradients where they are the same vector."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from training.updates.adversarial import AdversarialUpdate, Players
from training.updates.guard import Guard

VIDEO = 2


@pytest.fixture(scope="module")
def config(nano_config):
    """Without the match term, which fine-tuning has not."""
    return dataclasses.replace(nano_config, losses=dataclasses.replace(nano_config.losses, match=0))


@pytest.fixture(scope="module")
def batch(nano_batch):
    """Frames of one video."""
    names = ("target_frame", "target_landmarks")
    return {
        **{name: nano_batch[name] for name in names},
        "video_index": tf.fill([nano_batch["target_frame"].shape[0]], VIDEO),
    }


def make(config, learned, *, personal, **options):
    """An update whose D scores by w' or by W_i + w0; ψ is what the generator's side trains."""
    head, features = learned.discriminator.head, learned.discriminator.features
    psi = tf.Variable(learned.generator.project(tf.ones([1, config.model.embedding_size]))[0])
    embedding = tf.ones([1, config.model.embedding_size])

    def draw(batch, landmarks):
        count = tf.shape(landmarks)[0]
        frame = learned.generator(landmarks, tf.repeat(psi[tf.newaxis], count, axis=0))
        return frame, None if personal else tf.repeat(embedding, count, axis=0)

    if personal:
        w = tf.Variable(head.w[VIDEO] + head.w0)
        whose = dict(vector=lambda _: w, discriminator_variables=[*features.trainable_variables, w])
    else:
        whose = dict(
            vector=lambda row: row + head.w0,
            discriminator_variables=[*features.trainable_variables, head.w0],
            video_embedding=lambda batch: head.video_embedding(batch["video_index"]),
            rows_of=head.w,
        )
    players = Players(
        draw=draw,
        generator_variables=[psi],
        features=features,
        bias=head.bias,
        generator_networks=(),
        discriminator=features,
        **whose,
    )
    return AdversarialUpdate(config, players, Guard({}), {}, 2, **options)


@pytest.fixture(scope="module")
def personal(config, learned, batch):
    update = make(config, learned, personal=True)
    return update, update.first(batch, tf.constant(1.0))


def assert_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 + 1e-4 * np.abs(b).max())


def test_both_users_get_the_same_gradients(config, learned, batch, personal):
    result = make(config, learned, personal=False).first(batch, tf.constant(1.0))
    assert_close(result.generator, personal[1].generator)
    # The last one is w0's and w's; every row of W gets a share of w's.
    assert_close(result.discriminator, personal[1].discriminator)
    assert_close([tf.reduce_sum(result.rows, axis=0)], personal[1].discriminator[-1:])
    assert personal[1].rows is None
    assert set(result.metrics) - set(personal[1].metrics) == {"norm/embedding", "norm/w"}
    for name, value in personal[1].metrics.items():
        assert float(result.metrics[name]) == pytest.approx(float(value), rel=1e-4), name


def test_further_pass_repeats_the_first_ones_gradients_of_d(batch, personal):
    update, first = personal
    further = update.further(batch, first.kept, tf.constant(1.0))
    assert_close(further.discriminator, first.discriminator)
    assert further.generator == [] and "loss/generator" not in further.metrics


def test_scale_multiplies_gradients_and_parts_sum_up(config, learned, batch, personal):
    update = make(config, learned, personal=True, accumulate=2)
    result = update.first(batch, tf.constant(8.0))
    assert_close([g / 8.0 for g in result.generator], personal[1].generator)
    assert_close([g / 8.0 for g in result.discriminator], personal[1].discriminator)
    for name in ("loss/generator", "loss/discriminator"):
        assert float(result.metrics[name]) == pytest.approx(float(personal[1].metrics[name]), 1e-4)


def test_discriminator_that_rests_is_not_asked(config, learned, batch):
    result = make(config, learned, personal=True, adversarial=False).first(batch, tf.constant(1.0))
    assert result.discriminator == [] and result.rows is None
    assert set(result.metrics) == {"loss/content_pixel", "loss/generator", "error/l1"}


def test_errors_of_videos_and_of_photos_stand_apart(config, learned, batch):
    update = make(config, learned, personal=True)
    of = tf.constant([True, False] * (len(batch["target_frame"]) // 2))
    metrics = update.first(batch | {"photos": of}, tf.constant(1.0)).metrics
    videos, photos = float(metrics["error/l1_videos"]), float(metrics["error/l1_photos"])
    assert videos != photos
    assert (videos + photos) / 2 == pytest.approx(float(metrics["error/l1"]), rel=1e-5)
    metrics = update.first(batch | {"photos": tf.zeros_like(of)}, tf.constant(1.0)).metrics
    assert float(metrics["error/l1_videos"]) == pytest.approx(float(metrics["error/l1"]), rel=1e-5)
    assert float(metrics["error/l1_photos"]) == 0.0


def test_the_landmark_image_may_show_another_shape(config, learned, batch):
    """What is drawn moves the result; where the true points are stays with the target."""
    update = make(config, learned, personal=True)
    plain = update.first(batch, tf.constant(1.0)).metrics
    other = update.first(batch | {"drawn_landmarks": batch["target_landmarks"] + 3.0}, tf.constant(1.0)).metrics
    assert float(plain["error/l1"]) != float(other["error/l1"])
    same = update.first(batch | {"drawn_landmarks": batch["target_landmarks"]}, tf.constant(1.0)).metrics
    assert float(plain["error/l1"]) == float(same["error/l1"])
