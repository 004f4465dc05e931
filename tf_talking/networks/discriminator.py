"""Projection discriminator D: convolutional part V and the head with one vector a video.

r = V(x, y)·(W_i + w0) + b (eq. 5). V also hands out the activation after each of its blocks for
the feature matching loss. W is stored as M rows of N and read by `tf.gather`, so that its
gradient stays sparse and a step costs the same for any number of videos M.
Conventions: RGB float32 in [-1, 1], NHWC, landmark image first in the channels.
"""

import keras
import tensorflow as tf

from tf_talking.config import ModelConfig
from tf_talking.layers.spectral_norm import SpectralNorm
from tf_talking.networks.down_stack import DownStack, build_block, join_images, pool

W_START = 0.1  # mean of the entries of W at the start


class DiscriminatorFeatures(keras.Model):
    """V(x, y; θ): the embedder's blocks and one residual block at 4×4. 19.6 M in `paper`.

    Args:
      config: shapes.
      precision: type of the activations; weights and the vector are float32 in any case.
      recompute: see `run_block`.
    """

    def __init__(self, config: ModelConfig, precision: str = "float32", recompute: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.precision = precision
        self.down = DownStack(config, recompute, name="down")
        self.last = build_block(config.plan().last, config.spectral_norm)
        self.built = True

    def call(self, frames, landmark_images):
        """frames, landmark_images [B, S, S, 3] → (float32 [B, N], activations after each block)."""
        images = join_images(frames, landmark_images, self.config.image_size, self.precision)
        activations = self.down(images)
        activations.append(self.last(activations[-1]))
        return pool(activations[-1], self.config.pooling), activations


def realism_score(vector: tf.Tensor, w: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """V·w + b: vector [B, N], w [B, N] or [N], bias scalar → raw scores [B] (eq. 5 and 8)."""
    return tf.reduce_sum(vector * w, axis=-1) + bias


class ProjectionHead(SpectralNorm):
    """W, w0 and b of eq. (5). `power_iteration(discriminator)` follows a normalised W too.

    Args:
      num_videos: M.
      size: N.
      spectral_norm: normalises W by its largest singular value, and w0 by its length, which is
        its own. That reads all of W in every step and makes its gradient dense: for small M only.
    """

    def __init__(self, num_videos: int, size: int, spectral_norm: bool = False, **kwargs):
        super().__init__(spectral_norm, **kwargs)
        self.num_videos = num_videos
        self.w = self.add_weight(
            name="w",
            shape=(num_videos, size),
            # Not negative, as ê is: centred at 0, the match loss would first pull every ê to 0,
            # where the ReLU behind the sum pooling is dead and no gradient brings it back.
            initializer=keras.initializers.RandomUniform(0.0, 2 * W_START),
            trainable=True,
        )
        self.w0 = self.add_weight(
            name="w0",
            shape=(size,),
            # So that W_i + w0 starts around 0.
            initializer=keras.initializers.RandomUniform(-(size**-0.5) - W_START, size**-0.5 - W_START),
            trainable=True,
        )
        self.bias = self.add_weight(name="b", shape=(), initializer="zeros", trainable=True)
        if spectral_norm:
            self._build_vectors(num_videos, size)
        self.built = True

    def video_embedding(self, video_index):
        """W_i: int [B] → [B, N]."""
        rows = tf.gather(self.w, video_index)
        return rows / self.sigma() if self.spectral_norm else rows

    def common_vector(self) -> tf.Tensor:
        """w0 as it takes part in the score: [N]."""
        return tf.math.l2_normalize(self.w0) if self.spectral_norm else tf.convert_to_tensor(self.w0)

    def _matrix(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.w)

    def call(self, vector, video_index):
        """vector [B, N], video_index int [B] → raw realism scores [B]."""
        return realism_score(vector, self.video_embedding(video_index) + self.common_vector(), self.bias)


class Discriminator(keras.Model):
    """D(x, y, i; θ, W, w0, b), eq. (5).

    Args:
      config: shapes.
      num_videos: M, the number of videos in the training set.
      precision, recompute: of V. W, w0 and b are float32.
    """

    def __init__(
        self, config: ModelConfig, num_videos: int, precision: str = "float32", recompute: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        if num_videos < 1:
            raise ValueError(f"num_videos: got {num_videos}, expected at least 1")
        self.features = DiscriminatorFeatures(config, precision, recompute, name="features")
        self.head = ProjectionHead(num_videos, config.embedding_size, config.spectral_norm_on_w, name="head")
        self.built = True

    def call(self, frames, landmark_images, video_index):
        """→ (raw realism scores [B], activations after each block of V)."""
        vector, activations = self.features(frames, landmark_images)
        return self.head(vector, video_index), activations
