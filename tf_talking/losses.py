"""Every loss of the paper: terms on raw scores and on activations, and the generator's objective.

L_ADV and L_DSC (eq. 4, 6, 8, 10) are taken from raw scores: no sigmoid, no tanh. The generator's
objective is a dict of named terms: eq. (3) in meta-learning, eq. (9) in fine-tuning. A term's name
is its weight's field in `LossConfig` and its name in every log.
"""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from tf_talking.config import LossConfig

Features = Callable[[tf.Tensor], list[tf.Tensor]]


def adversarial_loss(fake_scores: tf.Tensor) -> tf.Tensor:
    """−mean D(x̂), the realism part of L_ADV (eq. 4). fake_scores [B] → scalar."""
    return -tf.reduce_mean(fake_scores)


def hinge_loss(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """L_DSC (eq. 6 and 10): mean max(0, 1 + D(x̂)) + mean max(0, 1 − D(x)). [B], [B] → scalar."""
    fake = tf.reduce_mean(tf.nn.relu(1.0 + fake_scores))
    return fake + tf.reduce_mean(tf.nn.relu(1.0 - real_scores))


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
        raise ValueError(f"feature matching: {len(real_activations)} real and {len(fake_activations)} fake activations")
    total = _sum_of_l1(real_activations, fake_activations)
    return total / len(real_activations) if mean else total


def match_loss(embedding: tf.Tensor, video_embedding: tf.Tensor) -> tf.Tensor:
    """Mean |ê_i − W_i| (section 3.2). [B, N] or a vector a frame [B, K, N], W_i [B, N] → scalar.

    It is what makes w' = w0 + ê_NEW a sensible start for fine-tuning (section 3.3).
    """
    if embedding.shape.rank == 3:
        video_embedding = video_embedding[:, tf.newaxis]
    return tf.reduce_mean(tf.abs(embedding - video_embedding))


def content_loss(real_features: Sequence[tf.Tensor], fake_features: Sequence[tf.Tensor]) -> tf.Tensor:
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
    return _sum_of_l1(real_features, fake_features)


def identity_loss(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """1 − cosine of a recogniser's embeddings [B, I], mean; no gradient flows into the real one.

    Not in the paper. The metric is never taken from the same recogniser.
    """
    real, fake = (tf.math.l2_normalize(x, axis=-1) for x in (tf.stop_gradient(real), fake))
    return 1.0 - tf.reduce_mean(tf.reduce_sum(real * fake, axis=-1))


def _sum_of_l1(reals: Sequence[tf.Tensor], fakes: Sequence[tf.Tensor]) -> tf.Tensor:
    """Σ mean |real − fake| over pairs, in float32; no gradient flows into the real side."""

    def l1(real, fake):
        real, fake = tf.cast(tf.stop_gradient(real), tf.float32), tf.cast(fake, tf.float32)
        return tf.reduce_mean(tf.abs(real - fake))

    return tf.add_n([l1(real, fake) for real, fake in zip(reals, fakes, strict=True)])


def image_terms(
    config: LossConfig,
    content: Mapping[str, Features],
    real: tf.Tensor,
    fake: tf.Tensor,
    landmarks: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """L_CNT, one entry a network (`content_vgg19`, `content_face`), plus `content_pixel`.

    Args:
      config: terms of weight 0 are left out, not computed.
      content: network name ("vgg19", "face") → function from images to a list of features;
        "identity" → function from images and landmarks to features, the embedding last.
      real, fake: float32 [B, S, S, 3] in [-1, 1].
      landmarks: float32 [B, P, 2], of both; for "identity", and for "face" if it is cut out.
    """
    terms = {}
    for name, features in content.items():
        if name == "identity":
            (*reals, known), (*fakes, seen) = features(real, landmarks), features(fake, landmarks)
            terms["content_identity"] = identity_loss(known, seen)
            if config.content_face:
                terms["content_face"] = content_loss(reals, fakes)
        elif getattr(config, f"content_{name}"):
            points = [landmarks] if name == "face" and config.face_is_cut_out else []
            terms[f"content_{name}"] = content_loss(features(real, *points), features(fake, *points))
    if config.content_pixel:
        terms["content_pixel"] = tf.reduce_mean(tf.abs(tf.stop_gradient(real) - fake))
    return terms


def discriminator_terms(config: LossConfig, fake_scores, fake_activations, real_activations) -> dict[str, tf.Tensor]:
    """L_ADV (eq. 4) as its two terms `adversarial` and `feature_matching`."""
    terms = {}
    if config.adversarial:
        terms["adversarial"] = adversarial_loss(fake_scores)
    if config.feature_matching:
        terms["feature_matching"] = feature_matching_loss(
            real_activations, fake_activations, config.feature_matching_mean
        )
    return terms


def weighted_sum(config: LossConfig, terms: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Σ weight · term, the weight being the config field of the term's name."""
    return tf.add_n([getattr(config, name) * value for name, value in terms.items()])
