"""The meta-learned networks and what is asked of them: embed a person, project, draw.

Frames are uint8 RGB and landmarks float32 in pixels of the S×S frame, as everywhere outside the
networks. The methods on tensors work inside a `tf.function`; `compile_projection` makes one.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_talking.config import Config
from tf_talking.networks import borrowed_identity
from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.fingerprints import fingerprint
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

    @functools.cached_property
    def fingerprints(self) -> dict[str, str]:
        """Of the generator with P, which ψ belongs to, and of the embedder, which ê belongs to."""
        return {"fingerprint": fingerprint(self.generator), "embedder_fingerprint": fingerprint(self.embedder)}

    @functools.cached_property
    def recogniser(self):
        """Whom identity is borrowed from, or None. First asked for outside of a graph.

        Raises:
          RuntimeError: it would be built while a graph is traced, which loses its weights.
        """
        if not tf.executing_eagerly():
            raise RuntimeError("recogniser: built inside a graph; see MetaLearned.compile_projection")
        return borrowed_identity.build_recogniser(self.config.model.borrowed_identity)

    def embed(self, frames, landmarks) -> tf.Tensor:
        """K frames [B, K, S, S, 3] and their landmarks [B, K, P, 2] → ê [B, N] (eq. 7).

        Where identity is borrowed, the person vector [B, N + I], which starts with ê.
        """
        embedding = self.embedder.embed(to_float(frames), landmark_images(self.config, landmarks))
        if not self.recogniser:
            return embedding
        shape, size = tf.shape(frames), self.config.model.image_size
        vectors = borrowed_identity.recognise(
            self.recogniser, tf.reshape(frames, [-1, size, size, 3]), tf.reshape(landmarks, [-1, *landmarks.shape[2:]])
        )
        vectors = tf.reshape(vectors, [shape[0], shape[1], vectors.shape[-1]])
        return borrowed_identity.person_vector(embedding, vectors)

    def project(self, embedding) -> tf.Tensor:
        """What `embed` gives → ψ̂ = P·ê [B, L]."""
        return self.generator.project(embedding)

    def compile_projection(self) -> Callable[..., tf.Tensor]:
        """A tf.function: frames and landmarks as `embed` takes them → ψ̂ [B, L]."""
        _ = self.recogniser  # built here
        return tf.function(lambda *person: self.project(self.embed(*person)), autograph=False)

    def draw(self, landmarks, adain_params) -> tf.Tensor:
        """See `draw_frames`: what the generator as it is draws, feed-forward with ψ̂."""
        return draw_frames(self.config, self.generator, landmarks, adain_params)

    def embed_person(self, frames: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """`embed` of one person's T frames [T, S, S, 3] and landmarks [T, P, 2]: float32 [N]."""
        return self.embed(tf.constant(frames[np.newaxis]), tf.constant(landmarks[np.newaxis]))[0].numpy()

    def project_person(self, embedding: np.ndarray) -> np.ndarray:
        """ψ̂ of what `embed_person` gives, float32 [L]."""
        return self.project(embedding[np.newaxis])[0].numpy()
