"""The meta-learned networks and what is asked of them: embed a person, project, draw.

Frames are uint8 RGB and landmarks float32 in pixels of the S×S frame, as everywhere outside the
networks. The methods on tensors work inside a `tf.function`.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tf_talking.config import Config
from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.images import landmark_images, to_float, to_uint8


def draw_frames(config: Config, generator: Generator, landmarks, adain_params) -> tf.Tensor:
    """Landmarks [B, P, 2] and ψ [B, L], or one person's [L] → frames uint8 [B, S, S, 3]."""
    adain_params = tf.convert_to_tensor(adain_params)
    if adain_params.shape.rank == 1:
        adain_params = tf.repeat(adain_params[tf.newaxis], tf.shape(landmarks)[0], axis=0)
    return to_uint8(generator(landmark_images(config, landmarks), adain_params))


@dataclasses.dataclass
class MetaLearned:
    """Networks of a checkpoint. `discriminator` is None where it was not asked for."""

    config: Config
    checkpoint: str
    step: int
    embedder: Embedder
    generator: Generator
    discriminator: Discriminator | None = None

    def embed(self, frames, landmarks) -> tf.Tensor:
        """K frames [B, K, S, S, 3] and their landmarks [B, K, P, 2] → ê [B, N] (eq. 7)."""
        return self.embedder.embed(to_float(frames), landmark_images(self.config, landmarks))

    def project(self, embedding) -> tf.Tensor:
        """ê [B, N] → ψ̂ = P·ê [B, L]."""
        return self.generator.project(embedding)

    def draw(self, landmarks, adain_params) -> tf.Tensor:
        """See `draw_frames`: what the generator as it is draws, feed-forward with ψ̂."""
        return draw_frames(self.config, self.generator, landmarks, adain_params)

    def embed_person(self, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """ê_NEW of T frames [T, S, S, 3] and landmarks [T, P, 2], float32 [N]."""
        return self.embed(tf.constant(frames[np.newaxis]), tf.constant(landmarks[np.newaxis]))[0].numpy()

    def project_person(self, embedding: np.ndarray) -> np.ndarray:
        """ψ̂ of one ê, float32 [L]."""
        return self.project(embedding[np.newaxis])[0].numpy()
