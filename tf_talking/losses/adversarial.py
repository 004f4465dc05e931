"""Adversarial terms on raw scores: no sigmoid, no tanh."""

import tensorflow as tf


def adversarial_loss(fake_scores: tf.Tensor) -> tf.Tensor:
    """−mean D(x̂), the realism part of L_ADV (eq. 4). fake_scores [B] → scalar."""
    return -tf.reduce_mean(fake_scores)


def hinge_loss(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """L_DSC (eq. 6 and 10): mean max(0, 1 + D(x̂)) + mean max(0, 1 − D(x)). [B], [B] → scalar."""
    fake = tf.reduce_mean(tf.nn.relu(1.0 + fake_scores))
    return fake + tf.reduce_mean(tf.nn.relu(1.0 - real_scores))
