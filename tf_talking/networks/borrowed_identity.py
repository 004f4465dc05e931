"""Borrowed identity: a recogniser's embedding of the source frames beside ê, before P.

Not the paper's method; `model.borrowed_identity` names the recogniser, and "none" is the default.
With few people to learn from, E learns what pixels look like long before it tells people apart; a
frozen recogniser that has seen millions tells them apart from the first step. What P projects is
then the person vector [ê, SCALE · mean of the unit embeddings, made unit again]. D knows ê alone.
"""

import keras
import tensorflow as tf

from tf_talking.content.alignment import align_faces
from tf_talking.content.sface.network import build_sface

SCALE = 10.0  # as long as ê is after some hundred steps, so that P learns as fast from both


def person_vector(embedding: tf.Tensor, identity_vectors: tf.Tensor) -> tf.Tensor:
    """What P projects.

    Args:
      embedding: ê [B, N].
      identity_vectors: the recogniser's, of any length, of K frames each: [B, K, I].

    Returns:
      float32 [B, N + I].
    """
    unit = tf.math.l2_normalize(identity_vectors, axis=-1)
    mean = tf.math.l2_normalize(tf.reduce_mean(unit, axis=1), axis=-1)
    return tf.concat([embedding, SCALE * mean], axis=-1)


def build_recogniser(name: str) -> keras.Model | None:
    """The frozen recogniser of `model.borrowed_identity`; None for "none"."""
    return {"none": lambda: None, "sface": build_sface}[name]()


def recognise(recogniser: keras.Model, frames: tf.Tensor, landmarks: tf.Tensor) -> tf.Tensor:
    """Frames uint8 [N, S, S, 3] and landmarks [N, P, 2] → the recogniser's embeddings [N, I]."""
    faces = align_faces(tf.cast(frames, tf.float32), landmarks)
    return recogniser(faces, training=False)
