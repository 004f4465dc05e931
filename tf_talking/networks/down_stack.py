"""The residual down blocks that the embedder and the discriminator share in shape."""

import tensorflow as tf

from tf_talking.config import ModelConfig
from tf_talking.layers.input_typed import InputTypedLayer
from tf_talking.layers.recompute import run_block
from tf_talking.layers.residual_block import ResidualBlock
from tf_talking.layers.self_attention import SelfAttention


class DownStack(InputTypedLayer):
    """Residual down blocks without normalisation, self-attention where the size is 32×32.

    Input: frame and landmark image concatenated, landmark image first, [B, S, S, 6].

    Args:
      config: shapes.
      spectral_norm: of every convolution.
      recompute: see `run_block`.

    Reference: paper section 3.4.
    """

    def __init__(self, config: ModelConfig, spectral_norm: bool, recompute: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.recompute = recompute
        self.blocks = []
        self.attention = None
        self.attention_index = -1
        size, channels = config.image_size, 6
        for index, filters in enumerate(config.embedder_channels):
            block = ResidualBlock(
                filters,
                resample="down",
                first=index == 0,
                spectral_norm=spectral_norm,
                name=f"down{index}",
            )
            block.build((None, size, size, channels))
            self.blocks.append(block)
            size, channels = size // 2, filters
            if config.attention and size == config.attention_down:
                self.attention = SelfAttention(spectral_norm=spectral_norm, name="attention")
                self.attention.build((None, size, size, channels))
                self.attention_index = index
        self.built = True

    def call(self, x):
        """[B, S, S, 6] → the activation after each block, the last one [B, 4, 4, N]."""
        activations = []
        for index, block in enumerate(self.blocks):
            x = run_block(block, self.recompute, x)
            if index == self.attention_index:
                x = run_block(self.attention, self.recompute, x)
            activations.append(x)
        return activations


def pool(x: tf.Tensor, pooling: str) -> tf.Tensor:
    """Global sum pooling and ReLU in the configured order: [B, H, W, N] → float32 [B, N]."""
    x = tf.cast(x, tf.float32)  # a sum over positions overflows half precision first
    if pooling == "relu_sum":
        return tf.reduce_sum(tf.nn.relu(x), axis=[1, 2])
    return tf.nn.relu(tf.reduce_sum(x, axis=[1, 2]))


def check_image(name: str, images, image_size: int) -> tf.Tensor:
    """`images` as a tensor. Raises ValueError unless it is [B, S, S, 3]."""
    images = tf.convert_to_tensor(images)
    expected = [image_size, image_size, 3]
    if images.shape.rank != 4 or images.shape.as_list()[1:] != expected:
        raise ValueError(
            f"{name}: got shape {images.shape}, expected [B, {image_size}, {image_size}, 3]"
        )
    return images
