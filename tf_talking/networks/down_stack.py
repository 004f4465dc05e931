"""The residual down blocks that the embedder and the discriminator share in shape."""

import tensorflow as tf

from tf_talking.config import ModelConfig
from tf_talking.config.plan import BlockPlan
from tf_talking.layers.input_typed import InputTypedLayer
from tf_talking.layers.recompute import run_block
from tf_talking.layers.residual_block import ResidualBlock
from tf_talking.layers.self_attention import SelfAttention


class DownStack(InputTypedLayer):
    """Residual down blocks without normalisation, self-attention where the size is 32×32.

    Input: frame and landmark image concatenated, landmark image first, [B, S, S, 6].

    Args:
      config: shapes.
      recompute: see `run_block`.

    Reference: paper section 3.4.
    """

    def __init__(self, config: ModelConfig, recompute: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.config, self.recompute = config, recompute
        self.blocks, self.attention = [], None
        for plan in config.plan().down:
            self.blocks.append(build_block(plan, config.spectral_norm))
            if plan.attention:
                self.attention = build_attention(plan, config.spectral_norm)
        self.built = True

    def call(self, x):
        """[B, S, S, 6] → the activation after each block, the last one [B, 4, 4, N]."""
        activations = []
        for plan, block in zip(self.config.plan().down, self.blocks, strict=True):
            x = run_block(block, self.recompute, x)
            if plan.attention:
                x = run_block(self.attention, self.recompute, x)
            activations.append(x)
        return activations


def build_block(plan: BlockPlan, spectral_norm: bool) -> ResidualBlock:
    """The residual block, with its weights."""
    block = ResidualBlock(
        plan.outputs,
        resample=plan.resample,
        norm=plan.norm,
        first=plan.first,
        spectral_norm=spectral_norm,
        name=plan.name,
    )
    block.build((None, plan.size, plan.size, plan.inputs))
    return block


def build_attention(plan: BlockPlan, spectral_norm: bool) -> SelfAttention:
    """The self-attention behind a block, with its weights."""
    attention = SelfAttention(spectral_norm=spectral_norm, name=f"{plan.name}_attention")
    attention.build((None, plan.output_size, plan.output_size, plan.outputs))
    return attention


def join_images(frames, landmark_images, image_size: int, precision) -> tf.Tensor:
    """What E and V see, checked: both [B, S, S, 3] → [B, S, S, 6] in the activations' type."""
    frames = check_image("frames", frames, image_size)
    landmark_images = check_image("landmark_images", landmark_images, image_size)
    return tf.cast(tf.concat([landmark_images, frames], axis=-1), precision)


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
        raise ValueError(f"{name}: got shape {images.shape}, expected [B, {image_size}, {image_size}, 3]")
    return images
