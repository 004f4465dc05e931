"""Generator G with projection P: landmark image and ψ̂ → frame.

Basics: an image-to-image network of residual blocks. The down blocks encode the landmark image
(instance norm); every later norm is an AdaIN whose scale and shift come from one flat vector
ψ = [shift(C), scale(C)] for each AdaIN layer in forward order. In meta-learning ψ̂ = P·ê; in
fine-tuning ψ' is a variable; a server sends it with the request.
Conventions: RGB float32 in [-1, 1], NHWC.
"""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_talking.config import ModelConfig
from tf_talking.layers.adain import AdaIN
from tf_talking.layers.recompute import run_block
from tf_talking.layers.spectral_conv2d import SpectralConv2D
from tf_talking.layers.spectral_dense import SpectralDense
from tf_talking.networks.down_stack import build_attention, build_block, check_image


def neutral_adain_params(config: ModelConfig) -> np.ndarray:
    """ψ with every shift 0 and every scale 1, float32 [L]: where P's bias starts."""
    parts = []
    for channels in config.adain_channels:
        parts += [np.zeros(channels), np.ones(channels)]
    return np.concatenate(parts).astype(np.float32)


def split_adain_params(config: ModelConfig, adain_params) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """ψ [B, L] → the (shift, scale) of each AdaIN layer, [B, C] both, in forward order.

    Raises:
      ValueError: ψ has another shape.
    """
    adain_params, length = tf.convert_to_tensor(adain_params), config.adain_size
    if adain_params.shape.rank != 2 or adain_params.shape[-1] != length:
        raise ValueError(f"adain_params: got shape {adain_params.shape}, expected [B, {length}]")
    sizes = [c for c in config.adain_channels for _ in range(2)]
    parts = tf.split(adain_params, sizes, axis=-1)
    return iter(list(zip(parts[::2], parts[1::2], strict=True)))


class Generator(keras.Model):
    """G(y, ê; ψ, P), paper section 3.1 and 3.4. 38.0 M parameters with P in `paper`.

    Args:
      config: shapes.
      with_projection: False leaves P out (a server's generator takes ψ explicitly).
      precision: type of the activations; weights, ψ and the frames are float32 in any case.
      recompute: see `run_block`.
    """

    def __init__(
        self,
        config: ModelConfig,
        with_projection: bool = True,
        precision: str = "float32",
        recompute: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.config = config
        self.precision, self.recompute = precision, recompute
        # In this order: optimizers number their slots by it, in checkpoints too.
        self.attentions, self.blocks = {}, []
        for plan in config.plan().generator:
            self.blocks.append(build_block(plan, config.spectral_norm))
            if plan.attention:
                self.attentions[plan.name] = build_attention(plan, config.spectral_norm)
        self.final_norm = AdaIN(name="final_norm")
        self.final_conv = SpectralConv2D(3, 3, spectral_norm=config.spectral_norm, name="final_conv")
        self.final_conv.build((None, None, None, plan.outputs))
        self.projection = None
        if with_projection:
            self.projection = SpectralDense(
                config.adain_size,
                bias_initializer=keras.initializers.Constant(neutral_adain_params(config)),
                spectral_norm=config.spectral_norm and config.spectral_norm_on_projection,
                name="projection",
            )
            self.projection.build((None, config.person_size))
        self.built = True

    def project(self, embedding):
        """ê [B, N], or the person vector where identity is borrowed → ψ̂ = P·ê, float32 [B, L]."""
        return self.projection(embedding)

    def call(self, landmark_images, adain_params):
        """landmark_images [B, S, S, 3], adain_params [B, L] → frames [B, S, S, 3] in [-1, 1]."""
        landmark_images = check_image("landmark_images", landmark_images, self.config.image_size)
        pairs = split_adain_params(self.config, adain_params)
        x = tf.cast(landmark_images, self.precision)
        for block in self.blocks:
            own = [next(pairs), next(pairs)] if block.norm == "adaptive" else None
            x = run_block(block, self.recompute, x, own)
            if block.name in self.attentions:
                x = run_block(self.attentions[block.name], self.recompute, x)
        shift, scale = next(pairs)
        x = self.final_conv(tf.nn.relu(self.final_norm(x, shift, scale)))
        return tf.tanh(tf.cast(x, tf.float32))
