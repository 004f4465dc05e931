"""Counts from the plan equal those of the networks that are built."""

import dataclasses

import numpy as np
import pytest

from tf_talking.config import ModelConfig
from tf_talking.networks.discriminator import DiscriminatorFeatures
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.parameters import count_parameters

SMALL = ModelConfig(image_size=64, min_channels=8, max_channels=32)  # with both attentions


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"attention": False, "spectral_norm_on_projection": False},
        {"spectral_norm": False, "num_residual_blocks": 1},
    ],
)
def test_counts_are_those_of_the_networks(changed):
    config = dataclasses.replace(SMALL, **changed)
    generator, embedder, features = (network(config) for network in (Generator, Embedder, DiscriminatorFeatures))
    assert count_parameters(config) == {
        "generator_with_projection": count(generator.trainable_weights),
        "projection": count(generator.projection.trainable_weights),
        "generator_spectral_vectors": count(generator.non_trainable_weights),
        "embedder": count(embedder.trainable_weights),
        "embedder_spectral_vectors": count(embedder.non_trainable_weights),
        "discriminator_features": count(features.trainable_weights),
        "discriminator_spectral_vectors": count(features.non_trainable_weights),
    }


def count(weights) -> int:
    return int(sum(np.prod(weight.shape) for weight in weights))
