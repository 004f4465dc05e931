"""Embedder E: frames of a person and their landmark images → embedding ê.

Basics: residual down blocks, sum pooling, ReLU, one vector a frame; the vectors of the K frames
are averaged. Conventions: RGB float32 in [-1, 1], NHWC, landmark image first in the channels.
"""

import keras
import tensorflow as tf

from tf_talking.config import ModelConfig
from tf_talking.networks.down_stack import DownStack, join_images, pool


class Embedder(keras.Model):
    """E(x, y; φ), paper section 3.1 and 3.4. 14.9 M parameters in the `paper` preset.

    Args:
      config: shapes.
      precision: type of the activations; weights and ê are float32 in any case.
      recompute: see `run_block`.
    """

    def __init__(self, config: ModelConfig, precision: str = "float32", recompute: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.precision = precision
        self.down = DownStack(config, recompute, name="down")
        self.built = True

    def call(self, frames, landmark_images):
        """frames, landmark_images [B, S, S, 3] → float32 [B, N], one embedding a frame."""
        images = join_images(frames, landmark_images, self.config.image_size, self.precision)
        return pool(self.down(images)[-1], self.config.pooling)

    def embed(self, frames, landmark_images):
        """frames, landmark_images [B, K, S, S, 3] → ê [B, N], the mean over K (eq. 7)."""
        return tf.reduce_mean(self.embed_frames(frames, landmark_images), axis=1)

    def embed_frames(self, frames, landmark_images):
        """frames, landmark_images [B, K, S, S, 3] → one vector a frame, [B, K, N].

        The K frames are folded into the batch: E sees B·K images at once.
        """
        shape = tf.shape(frames)
        size = self.config.image_size
        flat = [-1, size, size, 3]
        vectors = self(tf.reshape(frames, flat), tf.reshape(landmark_images, flat))
        return tf.reshape(vectors, [shape[0], shape[1], vectors.shape[-1]])
