"""L_FM: perceptual similarity measured with the discriminator's own activations."""

import tensorflow as tf


def feature_matching_loss(
    real_activations: list[tf.Tensor], fake_activations: list[tf.Tensor], mean: bool = True
) -> tf.Tensor:
    """Sum over V's blocks of mean |real − fake|, the real side stopped (eq. 4).

    Args:
      real_activations, fake_activations: one [B, H, W, C] a block.
      mean: divides the sum by the number of blocks, as the authors' later release does.

    Returns:
      float32 scalar.
    """
    if len(real_activations) != len(fake_activations):
        raise ValueError(
            f"feature matching: {len(real_activations)} real and "
            f"{len(fake_activations)} fake activations"
        )
    total = 0.0
    for real, fake in zip(real_activations, fake_activations, strict=True):
        difference = tf.cast(tf.stop_gradient(real), tf.float32) - tf.cast(fake, tf.float32)
        total += tf.reduce_mean(tf.abs(difference))
    return total / len(real_activations) if mean else total
