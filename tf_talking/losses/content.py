"""L_CNT: distance between features of the real and of the generated frame (eq. 3, section 3.4)."""

from collections.abc import Sequence

import tensorflow as tf


def content_loss(
    real_features: Sequence[tf.Tensor], fake_features: Sequence[tf.Tensor]
) -> tf.Tensor:
    """L1 between activations: mean over each layer's elements, then sum over the layers.

    Args:
      real_features: one [B, h, w, c] a layer, of the ground truth; no gradient flows into it.
      fake_features: the same layers of the generated frame.

    Returns:
      float32 scalar.

    Raises:
      ValueError: the two lists differ in length or are empty.
    """
    if not real_features or len(real_features) != len(fake_features):
        raise ValueError(
            f"content_loss: got {len(real_features)} real and {len(fake_features)} fake feature "
            "maps, expected the same number, at least one"
        )
    terms = [
        tf.reduce_mean(
            tf.abs(tf.cast(tf.stop_gradient(real), tf.float32) - tf.cast(fake, tf.float32))
        )
        for real, fake in zip(real_features, fake_features, strict=True)
    ]
    return tf.add_n(terms)
