import numpy as np
import pytest
import tensorflow as tf

from tf_talking.losses import content_loss


def test_sum_over_layers_of_means():
    real = [tf.constant([[[[1.0, 2.0]]]]), tf.zeros([1, 2, 2, 1])]
    fake = [tf.constant([[[[2.0, 0.0]]]]), tf.constant([[[[1.0], [0.0]], [[0.0], [-3.0]]]])]
    loss = content_loss(real, fake)
    assert loss.dtype == tf.float32
    assert loss.numpy() == pytest.approx(1.5 + 1.0)


def test_gradient_reaches_the_fake_side_only():
    real, fake = tf.Variable([[1.0, 2.0]]), tf.Variable([[3.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = content_loss([real], [fake])
    gradients = tape.gradient(loss, [real, fake])
    assert gradients[0] is None
    np.testing.assert_allclose(gradients[1], [[0.5, -0.5]])


def test_half_precision_features_are_compared_in_float32():
    real = tf.fill([1, 64, 64, 8], tf.constant(1.0, tf.bfloat16))
    fake = tf.fill([1, 64, 64, 8], tf.constant(1.25, tf.bfloat16))
    assert content_loss([real], [fake]).numpy() == pytest.approx(0.25)


@pytest.mark.parametrize(("real", "fake"), [([], []), ([np.zeros(1)], [])])
def test_lists_must_match(real, fake):
    with pytest.raises(ValueError, match="content_loss: got"):
        content_loss(real, fake)
