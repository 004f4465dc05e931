"""Flags that say which weight files the content loss uses; shared by meta_train and finetune."""

import dataclasses

from absl import flags, logging

from tf_talking.config import Config
from tf_talking.config.overrides import apply_overrides, replace_losses
from tf_talking.content.networks import content_networks_of
from tf_talking.networks.meta_checkpoint import load_meta_learned
from tf_talking.networks.meta_learned import MetaLearned

FLAGS = flags.FLAGS


def define_content_flags() -> None:
    """Defines --vgg19, --face_features and --face_weights."""
    flags.DEFINE_string(
        "vgg19",
        "auto",
        "VGG19 of the content loss: 'auto' downloads the published Keras file, a path (.h5 or "
        ".npz) reads one, 'none' leaves the term out, 'random' uses random weights (for tests).",
    )
    flags.DEFINE_enum(
        "face_features",
        None,
        ["vggface", "mobilefacenet", "none"],
        "Face network of the content loss; default: the config's.",
    )
    flags.DEFINE_string(
        "face_weights",
        "auto",
        "Weights of the face network: 'auto' downloads the published VGGFace file, or a path, or "
        "'random'.",
    )


def resolve_content(config: Config) -> Config:
    """The config with the terms that the flags leave out set to weight 0."""
    face = FLAGS.face_features or config.losses.face_features
    config = replace_losses(config, face_features=face)
    if face == "none":
        config = replace_losses(config, content_face=0.0)
    if FLAGS.vgg19 == "none":
        config = replace_losses(config, content_vgg19=0.0)
    losses = config.losses
    if not (losses.content_vgg19 or losses.content_face or losses.content_pixel):
        logging.warning("no content term has a weight: only the adversarial terms train G")
    return config


def load_to_finetune(checkpoint: str, overrides: list[str]) -> MetaLearned:
    """The checkpoint with its discriminator, and a config changed by overrides and these flags.

    Raises:
      ValueError, FileNotFoundError: no such checkpoint, or an override that can not be: networks
        and landmark images are those that were trained.
    """
    learned = load_meta_learned(checkpoint, with_discriminator=True)
    config = resolve_content(apply_overrides(learned.config, overrides))
    if (config.model, config.landmarks) != (learned.config.model, learned.config.landmarks):
        raise ValueError("--override: model.* and landmarks.* are fixed by the checkpoint")
    return dataclasses.replace(learned, config=config)


def build_content(config: Config, precision: str = "float32") -> dict:
    """Loads the networks that have a weight; logs which file each came from."""
    networks = content_networks_of(config, FLAGS.vgg19, FLAGS.face_weights, precision)
    for name, network in networks.items():
        logging.info("content network %s: weights from %s", name, network.weights_source)
    return networks
