"""Adversarial, feature matching and match terms against hand-computed values."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config import LossConfig
from tf_talking.losses import (
    adversarial_loss,
    content_loss,
    discriminator_terms,
    feature_matching_loss,
    hinge_loss,
    identity_loss,
    image_terms,
    match_loss,
    weighted_sum,
)

POINTS = tf.zeros([1, 68, 2])


def test_hinge_is_equation_6():
    real, fake = tf.constant([2.0, 0.5, -1.0]), tf.constant([-3.0, 0.0, 1.0])
    # fake: 0, 1, 2; real: 0, 0.5, 2
    assert float(hinge_loss(real, fake)) == pytest.approx(1.0 + 2.5 / 3)


def test_adversarial_has_no_sigmoid():
    assert float(adversarial_loss(tf.constant([100.0, -20.0]))) == -40.0


def test_feature_matching_value_mean_and_stopped_side():
    real = [tf.Variable(tf.ones([1, 2, 2, 3])), tf.Variable(tf.zeros([1, 1, 1, 2]))]
    fake = [tf.Variable(tf.fill([1, 2, 2, 3], 1.5)), tf.Variable(tf.fill([1, 1, 1, 2], -1.0))]
    assert float(feature_matching_loss(real, fake, mean=False)) == pytest.approx(1.5)
    with tf.GradientTape() as tape:
        loss = feature_matching_loss(real, fake)
    assert float(loss) == pytest.approx(0.75)
    gradients = tape.gradient(loss, real + fake)
    assert gradients[0] is None and gradients[1] is None
    np.testing.assert_allclose(gradients[2], np.full((1, 2, 2, 3), 1 / 12 / 2), rtol=1e-6)


def test_feature_matching_counts_must_agree():
    with pytest.raises(ValueError, match="1 real and 2 fake"):
        feature_matching_loss([tf.zeros(1)], [tf.zeros(1)] * 2)


def test_match_is_a_mean_of_absolute_differences():
    assert float(match_loss(tf.constant([[1.0, 3.0]]), tf.constant([[0.0, 5.0]]))) == 1.5


def test_gradients_of_every_term_go_to_the_generated_frame_alone():
    """Swapped arguments would leave the values as they are, and give the generator nothing."""
    config = LossConfig(content_pixel=2.0, content_identity=1.0, face_features="mobilefacenet")
    real = tf.random.stateless_uniform([2, 4, 4, 3], [1, 1], -1.0, 1.0)
    fake = tf.random.stateless_uniform([2, 4, 4, 3], [2, 2], -1.0, 1.0)
    content = {
        "vgg19": lambda x: [x, tf.square(x)],
        "face": lambda x: [3.0 * x],
        "identity": lambda x, landmarks: [x, tf.reduce_sum(x, axis=[1, 2])],
    }
    for names in ({"vgg19"}, {"face"}, {"identity"}, set()):
        with tf.GradientTape() as tape:
            tape.watch([real, fake])
            given = {name: features for name, features in content.items() if name in names}
            terms = image_terms(config, given, real, fake, tf.zeros([2, 68, 2]))
            terms.pop("content_pixel", None) if names else None
            total = weighted_sum(config, terms)
        of_real, of_fake = tape.gradient(total, [real, fake], unconnected_gradients="zero")
        assert not of_real.numpy().any() and of_fake.numpy().any(), names
    with tf.GradientTape() as tape:
        tape.watch([real, fake])
        total = weighted_sum(config, discriminator_terms(config, tf.constant([2.0]), [fake], [real]))
    of_real, of_fake = tape.gradient(total, [real, fake], unconnected_gradients="zero")
    assert not of_real.numpy().any() and of_fake.numpy().any()


def test_terms_carry_the_names_of_their_weights():
    config = dataclasses.replace(LossConfig(), content_pixel=2.0)
    real, fake = tf.fill([1, 4, 4, 3], 0.25), tf.fill([1, 4, 4, 3], 0.75)
    content = {"vgg19": lambda x: [x, 2 * x], "face": lambda x: [3 * x]}
    terms = image_terms(config, content, real, fake)
    terms |= discriminator_terms(config, tf.constant([2.0]), [fake], [real])
    expected = {
        "content_vgg19": 1.5,
        "content_face": 1.5,
        "content_pixel": 0.5,
        "adversarial": -2.0,
        "feature_matching": 0.5,
    }
    assert {k: float(v) for k, v in terms.items()} == pytest.approx(expected)
    total = 1e-2 * 1.5 + 2e-3 * 1.5 + 2.0 * 0.5 - 2.0 + 10 * 0.5
    assert float(weighted_sum(config, terms)) == pytest.approx(total)


def test_terms_of_weight_0_are_not_computed():
    config = LossConfig(content_vgg19=0.0, content_face=0.0, adversarial=0.0, feature_matching=0.0)

    def never(x):
        raise AssertionError("computed")

    assert image_terms(config, {"vgg19": never, "face": never}, None, None) == {}
    assert discriminator_terms(config, None, None, None) == {}


def test_content_wants_as_many_features_of_both_and_at_least_one():
    for real, fake in (([], []), ([tf.zeros(1)], []), ([tf.zeros(1)], [tf.zeros(1)] * 2)):
        with pytest.raises(ValueError, match=f"{len(real)} real and {len(fake)} fake"):
            content_loss(real, fake)


def test_only_a_face_that_is_cut_out_gets_the_landmarks():
    real, fake = tf.zeros([1, 4, 4, 3]), tf.ones([1, 4, 4, 3])
    content = {"vgg19": lambda x: [x], "face": lambda x, *points: [x * (3.0 if points else 5.0)]}
    for crop, value in (("landmarks", 3.0), ("frame", 5.0)):
        terms = image_terms(LossConfig(face_crop=crop), content, real, fake, POINTS)
        assert (float(terms["content_face"]), float(terms["content_vgg19"])) == (value, 1.0)


def test_identity_loss_is_one_less_the_cosine_and_moves_the_generated_side_only():
    real, fake = tf.constant([[3.0, 0.0], [0.0, 2.0]]), tf.constant([[5.0, 0.0], [1.0, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch([real, fake])
        loss = identity_loss(real, fake)
    np.testing.assert_allclose(loss, 1.0 - (1.0 + np.sqrt(0.5)) / 2.0, rtol=1e-6)
    to_real, to_fake = tape.gradient(loss, [real, fake])
    assert to_real is None and np.abs(to_fake[1]).max() > 0.1


def test_aligned_faces_give_the_face_and_the_identity_term():
    def network(images, landmarks):
        assert landmarks is POINTS
        return [images * 2.0, tf.reduce_mean(images, axis=[1, 2])]

    config = LossConfig(content_face=0.5, content_identity=3.0, face_features="mobilefacenet")
    real, fake = tf.ones([1, 4, 4, 3]), tf.ones([1, 4, 4, 3]) * 0.5
    terms = image_terms(config, {"identity": network}, real, fake, POINTS)
    np.testing.assert_allclose(terms["content_face"], 1.0, rtol=1e-6)
    np.testing.assert_allclose(terms["content_identity"], 0.0, atol=1e-6)
    without = LossConfig(content_face=0.0, content_identity=3.0, face_features="mobilefacenet")
    assert set(image_terms(without, {"identity": network}, real, fake, POINTS)) == {"content_identity"}
    with pytest.raises(ValueError, match="losses.content_identity: got 3.0 with face_features 'vggface'"):
        LossConfig(content_identity=3.0)
