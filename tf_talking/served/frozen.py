"""Generator and embedder as they are served: spectral norm folded, weights constant, ops merged.

Basics: from trained networks to the same arithmetic in fewer operations and fewer passes over
memory. The results equal the networks' within float rounding (tests compare block by block).

    spectral norm            K/σ, once
    convolutions             see `frozen_convs`
    norm, scale, shift, ReLU one operation (TensorFlow's fused batch norm over one image)
    1×1 skip convolution     at the smaller of the two resolutions
    attention                query, key and value as one convolution; the gate inside the last one
    ψ                        split once

What is chosen depends on the device class alone (`Rule`), never on a measurement at export.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tf_talking.layers.adain import EPSILON
from tf_talking.layers.residual_block import ResidualBlock
from tf_talking.layers.self_attention import SelfAttention
from tf_talking.layers.spectral_conv2d import upsample_nearest
from tf_talking.networks.down_stack import join_images, pool
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator, split_adain_params
from tf_talking.served import frozen_convs

DTYPES = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is chosen for a class of devices.

    Attributes:
      frame_by_frame: the rows of a batch are computed one after the other. A frame of 256 px keeps
        all cores of a CPU busy, and its maps stay in the cache, which those of a batch do not; and
        one image at a time is what fused batch norm can normalise. A GPU takes the whole batch.
      winograd: in float32, 3×3 convolutions where both channels are at least `WINOGRAD_CHANNELS`.
        GPU libraries do that themselves.
      resize_op: nearest upsampling by TensorFlow's resize operation, which on a CPU is faster than
        a broadcast; on a GPU it has no bfloat16.
    """

    frame_by_frame: bool
    winograd: bool
    resize_op: bool


RULES = {"cpu": Rule(True, True, True), "gpu": Rule(False, False, False)}
WINOGRAD_CHANNELS = 128


def get_rule(device: str) -> Rule:
    """The rule of a device class. Raises ValueError listing the known ones."""
    if device not in RULES:
        raise ValueError(f"device: got {device!r}, expected one of {sorted(RULES)}")
    return RULES[device]


def _kernel(layer) -> np.ndarray:
    with tf.init_scope():
        return layer.normalized_kernel().numpy()


def _value(variable) -> np.ndarray:
    with tf.init_scope():
        return tf.convert_to_tensor(variable).numpy()


class FrozenGenerator:
    """G without P, for one trained `Generator`.

    Args:
      generator: with or without spectral norm, with or without P.
      device: "cpu" or "gpu".
      dtype: type of the activations and constants; statistics, ψ and the frames are float32.
    """

    def __init__(self, generator: Generator, device: str = "cpu", dtype: str = "float32"):
        if dtype not in DTYPES:
            raise ValueError(f"dtype: got {dtype!r}, expected one of {list(DTYPES)}")
        self._generator, self._ops = generator, _Ops(get_rule(device), dtype)

    def __call__(self, landmark_images, adain_params):
        """landmark_images [B, S, S, 3] in [-1, 1], adain_params [B, L] → frames [B, S, S, 3]."""
        ops, generator = self._ops, self._generator
        pairs = split_adain_params(generator.config, adain_params)
        x = tf.cast(landmark_images, ops.dtype)
        for block in generator.blocks:
            x = ops.residual_block(block, x, pairs)
            if block.name in generator.attentions:
                x = ops.attention(generator.attentions[block.name], x)
        x = ops.norm_relu(x, *next(pairs))
        final = generator.final_conv
        x = frozen_convs.convolve_to_image(x, _kernel(final), _value(final.bias))
        return tf.tanh(tf.cast(x, tf.float32))


class FrozenEmbedder:
    """E for one trained `Embedder` in float32; arguments as of `FrozenGenerator`."""

    def __init__(self, embedder: Embedder, device: str = "cpu"):
        self._embedder, self._ops = embedder, _Ops(get_rule(device), "float32")

    def __call__(self, frames, landmark_images):
        """frames, landmark_images [B, S, S, 3] in [-1, 1] → float32 [B, N]."""
        ops, down = self._ops, self._embedder.down
        config = self._embedder.config
        x = join_images(frames, landmark_images, config.image_size, ops.dtype)
        for plan, block in zip(config.plan().down, down.blocks, strict=True):
            x = ops.residual_block(block, x)
            if plan.attention:
                x = ops.attention(down.attention, x)
        return pool(x, config.pooling)


class _Ops:
    """The layers' arithmetic under a rule and a type."""

    def __init__(self, rule: Rule, dtype: str):
        self.rule, self.dtype = rule, tf.as_dtype(dtype)

    def residual_block(self, block: ResidualBlock, x, pairs=None):
        """As `ResidualBlock.call`; `pairs` gives an adaptive block its (shift, scale)."""
        y = x if block.first else self._norm_relu(block.norm1, block, x, pairs)
        kernel = _kernel(block.conv1)
        if block.resample == "up":
            y = frozen_convs.convolve_after_upsample(y, kernel)
        else:
            y = self._convolve(y, kernel)
        y = self._norm_relu(block.norm2, block, self._biased(block.conv1, y), pairs)
        kernel = _kernel(block.conv2)
        if block.resample == "down":
            y = frozen_convs.convolve_then_pool(y, kernel)
        else:
            y = self._convolve(y, kernel)
        return self._biased(block.conv2, y) + self._shortcut(block, x)

    def _convolve(self, x, kernel: np.ndarray):
        wide = min(kernel.shape[2:]) >= WINOGRAD_CHANNELS
        if self.rule.winograd and wide and x.shape[0] == 1 and x.dtype == tf.float32:
            return frozen_convs.convolve_winograd(x, kernel)
        return frozen_convs.convolve(x, kernel)

    def _biased(self, layer, y):
        return tf.nn.bias_add(y, tf.constant(_value(layer.bias), y.dtype)) if layer.use_bias else y

    def _shortcut(self, block: ResidualBlock, x):
        if block.resample == "down":
            x = tf.nn.avg_pool2d(x, 2, 2, "VALID")
        if block.skip is not None:
            x = frozen_convs.convolve(x, _kernel(block.skip), _value(block.skip.bias))
        return self._upsample(x) if block.resample == "up" else x

    def _upsample(self, x):
        if not self.rule.resize_op:
            return upsample_nearest(x)
        size = [2 * x.shape[1], 2 * x.shape[2]]
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size)

    def _norm_relu(self, norm, block: ResidualBlock, x, pairs):
        if block.norm == "instance":
            shift, scale = _value(norm.beta), _value(norm.gamma)
            return self.norm_relu(x, tf.constant(shift[np.newaxis]), tf.constant(scale[np.newaxis]))
        return self.norm_relu(x, *next(pairs)) if block.norm == "adaptive" else tf.nn.relu(x)

    def norm_relu(self, x, shift, scale):
        """Instance norm, scale and shift [1 or B, C], ReLU; statistics float32."""
        if x.shape[0] == 1:
            nothing = tf.constant([], tf.float32)
            y = tf.raw_ops.FusedBatchNormV3(
                x=x,
                scale=scale[0],
                offset=shift[0],
                mean=nothing,
                variance=nothing,
                epsilon=EPSILON,
                is_training=True,  # the statistics are those of the batch: of this one image
            )[0]
            return tf.nn.relu(y)
        inputs = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(inputs, axes=[1, 2], keepdims=True)
        scale = scale[:, tf.newaxis, tf.newaxis] * tf.math.rsqrt(variance + EPSILON)
        shift = shift[:, tf.newaxis, tf.newaxis] - mean * scale
        return tf.nn.relu(tf.cast(inputs * scale + shift, x.dtype))

    def attention(self, layer: SelfAttention, x):
        """As `SelfAttention.call`."""
        height, width, channels = x.shape[1:]
        positions, small, half = height * width, channels // 8, channels // 2
        parts = (layer.query, layer.key, layer.value)
        kernel = np.concatenate([_kernel(part) for part in parts], axis=-1)
        bias = np.concatenate([_value(part.bias) for part in parts])
        projected = frozen_convs.convolve(x, kernel, bias)
        query = tf.reshape(projected[..., :small], [-1, positions, small])
        pooled = tf.nn.max_pool2d(projected[..., small:], 2, 2, "VALID")
        key, value = tf.split(tf.reshape(pooled, [-1, positions // 4, small + half]), [small, half], axis=-1)
        # Softmax sums in float32 by itself, whatever the type of its input.
        weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True))
        attended = tf.reshape(tf.matmul(weights, value), [-1, height, width, half])
        gate, out = _value(layer.gate), layer.output_conv
        return x + frozen_convs.convolve(attended, gate * _kernel(out), gate * _value(out.bias))
