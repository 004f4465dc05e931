"""The generator's objective as named terms: eq. (3) in meta-learning, eq. (9) in fine-tuning.

A term's name is its weight's field in `LossConfig` and its name in every log.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from tf_talking.config import LossConfig
from tf_talking.losses.adversarial import adversarial_loss
from tf_talking.losses.content import content_loss
from tf_talking.losses.feature_matching import feature_matching_loss

Features = Callable[[tf.Tensor], list[tf.Tensor]]


def image_terms(
    config: LossConfig, content: Mapping[str, Features], real: tf.Tensor, fake: tf.Tensor
) -> dict[str, tf.Tensor]:
    """L_CNT, one entry a network (`content_vgg19`, `content_face`), plus `content_pixel`.

    Args:
      config: terms of weight 0 are left out, not computed.
      content: network name ("vgg19", "face") → function from images to a list of features.
      real, fake: float32 [B, S, S, 3] in [-1, 1].
    """
    terms = {}
    for name, features in content.items():
        if getattr(config, f"content_{name}"):
            terms[f"content_{name}"] = content_loss(features(real), features(fake))
    if config.content_pixel:
        terms["content_pixel"] = tf.reduce_mean(tf.abs(tf.stop_gradient(real) - fake))
    return terms


def discriminator_terms(
    config: LossConfig, fake_scores, fake_activations, real_activations
) -> dict[str, tf.Tensor]:
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
