"""The networks of the content loss: which weight files, and which terms are left out."""

import dataclasses

from absl import logging

from tf_talking.config import Config
from tf_talking.config.overrides import replace_losses
from tf_talking.content.networks import content_networks_of


@dataclasses.dataclass(frozen=True)
class ContentFiles:
    """Where the weights come from.

    Attributes:
      vgg19: "auto" downloads the published Keras file, a path (.h5 or .npz) reads one, "none"
        leaves the term out, "random" uses random weights (for tests).
      face_features: "vggface", "mobilefacenet", "none", or None: the config's.
      face_weights: "auto", a path or "random".
    """

    vgg19: str = "auto"
    face_features: str | None = None
    face_weights: str = "auto"

    def resolve(self, config: Config) -> Config:
        """The config with the terms that are left out set to weight 0."""
        face = self.face_features or config.losses.face_features
        identity = config.losses.content_identity if face == "mobilefacenet" else 0.0
        config = replace_losses(config, face_features=face, content_identity=identity)
        if face == "none":
            config = replace_losses(config, content_face=0.0)
        if self.vgg19 == "none":
            config = replace_losses(config, content_vgg19=0.0)
        losses = config.losses
        if not (losses.content_vgg19 or losses.content_face or losses.content_pixel):
            logging.warning("no content term has a weight: only the adversarial terms train G")
        return config

    def build(self, config: Config, precision: str = "float32") -> dict:
        """Loads the networks that have a weight; logs which file each came from."""
        networks = content_networks_of(config, self.vgg19, self.face_weights, precision)
        for name, network in networks.items():
            logging.info("content network %s: weights from %s", name, network.weights_source)
        return networks
