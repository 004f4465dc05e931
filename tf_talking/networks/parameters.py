"""Parameter counts of the three networks of a config."""

import numpy as np

from tf_talking.config import ModelConfig


def count(model) -> int:
    """Number of trainable parameters."""
    return int(sum(np.prod(w.shape) for w in model.trainable_weights))


def count_parameters(config: ModelConfig) -> dict[str, int]:
    """Builds the networks, one after the other, and counts their trainable parameters.

    W is not among them: it has M rows of `embedding_size`. `spectral_vectors` are the vectors u
    and v of spectral norm, which are saved but not trained.
    """
    from tf_talking.networks.discriminator import DiscriminatorFeatures
    from tf_talking.networks.embedder import Embedder
    from tf_talking.networks.generator import Generator

    generator = Generator(config)
    counts = {
        "generator_with_projection": count(generator),
        "projection": count(generator.projection),
        "generator_spectral_vectors": _spectral_vectors(generator),
    }
    del generator
    embedder = Embedder(config)
    counts["embedder"] = count(embedder)
    counts["embedder_spectral_vectors"] = _spectral_vectors(embedder)
    del embedder
    features = DiscriminatorFeatures(config)
    counts["discriminator_features"] = count(features)
    counts["discriminator_spectral_vectors"] = _spectral_vectors(features)
    return counts


def _spectral_vectors(model) -> int:
    return int(sum(np.prod(w.shape) for w in model.non_trainable_weights))
