"""Random networks: time and memory do not depend on weights."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_talking.config import Config
from tf_talking.config.overrides import replace_losses
from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator, neutral_adain_params
from tf_talking.networks.meta_learned import MetaLearned


def random_generator(config: Config) -> Generator:
    """Freshly initialised, attention's gates open: closed ones would hide what it computes."""
    keras.utils.set_random_seed(0)
    generator = Generator(config.model, name="generator")
    for attention in generator.attentions.values():
        attention.gate.assign(0.5)
    return generator


def random_networks(config: Config) -> MetaLearned:
    """Freshly initialised networks, attention's gates open."""
    generator = random_generator(config)
    return MetaLearned(
        config,
        "random weights",
        0,
        Embedder(config.model, name="embedder"),
        generator,
        Discriminator(config.model, num_videos=1, name="discriminator"),
    )


def without_content(config: Config) -> Config:
    """A config that needs no files of weights."""
    return replace_losses(config, content_vgg19=0.0, content_face=0.0, face_features="none")


def random_psi(config: Config, people: int) -> np.ndarray:
    """ψ of some people, float32 [people, L]: P's bias and noise."""
    neutral = neutral_adain_params(config.model)
    noise = np.random.default_rng(0).normal(0.0, 0.1, (people, len(neutral)))
    return (neutral + noise).astype(np.float32)


def unfold(network: tf.Module) -> None:
    """Convolution and resampling one after the other, as one first writes them."""
    for layer in _foldable(network):
        layer.fold = False


@contextlib.contextmanager
def unfolded(network: tf.Module) -> Iterator[None]:
    """The same while a function is traced."""
    before = {layer: layer.fold for layer in _foldable(network)}
    unfold(network)
    try:
        yield
    finally:
        for layer, fold in before.items():
            layer.fold = fold


def _foldable(network: tf.Module) -> list:
    return [layer for layer in network.submodules if hasattr(layer, "fold")]
