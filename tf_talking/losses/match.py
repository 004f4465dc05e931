"""L_MCH: keeps the embedder's vectors close to the discriminator's video embeddings."""

import tensorflow as tf


def match_loss(embedding: tf.Tensor, video_embedding: tf.Tensor) -> tf.Tensor:
    """Mean |ê_i − W_i| (section 3.2). [B, N], [B, N] → scalar.

    It is what makes w' = w0 + ê_NEW a sensible start for fine-tuning (section 3.3).
    """
    return tf.reduce_mean(tf.abs(embedding - video_embedding))
