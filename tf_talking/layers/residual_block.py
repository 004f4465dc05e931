"""The residual block all three networks are made of (BigGAN style, pre-activation)."""

import keras
import tensorflow as tf

from tf_talking.layers.adain import EPSILON, AdaIN
from tf_talking.layers.addons import InstanceNormalization
from tf_talking.layers.input_typed import InputTypedLayer
from tf_talking.layers.spectral_conv2d import SpectralConv2D, upsample_nearest


class ResidualBlock(InputTypedLayer):
    """[norm] ReLU conv3×3 [norm] ReLU conv3×3, plus a 1×1 skip where the shape changes.

    Args:
      filters: output channels.
      resample: None, "down" (average pooling 2×2 at the end) or "up" (nearest ×2 before the first
        convolution).
      norm: None, "instance" (learned affine) or "adaptive" (AdaIN, affine from ψ). A block with
        a norm has no bias in its 3×3 convolutions: the norm would remove or replace it.
      first: the first block of a network has no leading norm and no leading ReLU.
      spectral_norm: see `SpectralNorm`.

    Reference: paper section 3.4; pooling and 1×1 convolution of the skip commute, so the skip is
    computed at the smaller of the two resolutions.
    """

    def __init__(
        self,
        filters: int,
        resample: str | None = None,
        norm: str | None = None,
        first: bool = False,
        spectral_norm: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if resample not in (None, "down", "up"):
            raise ValueError(f"ResidualBlock resample: got {resample!r}, expected None, down, up")
        if norm not in (None, "instance", "adaptive"):
            raise ValueError(f"ResidualBlock norm: got {norm!r}, expected None, instance, adaptive")
        self.filters = filters
        self.resample = resample
        self.norm = norm
        self.first = first
        conv = dict(kernel_size=3, use_bias=norm is None, spectral_norm=spectral_norm)
        self.conv1 = SpectralConv2D(filters, name="conv1", **conv)
        self.conv2 = SpectralConv2D(filters, name="conv2", **conv)
        self.norm1 = None if first else self._make_norm("norm1")
        self.norm2 = self._make_norm("norm2")
        self.spectral_norm = spectral_norm
        self.skip = None

    def _make_norm(self, name: str) -> keras.layers.Layer | None:
        if self.norm == "instance":
            return InstanceNormalization(epsilon=EPSILON, dtype="float32", name=name)
        return AdaIN(name=name) if self.norm == "adaptive" else None

    def build(self, input_shape):
        height, width, channels = input_shape[1:]
        inner = (None, None, None, self.filters)
        self.conv1.build((None, height, width, channels))
        self.conv2.build(inner)
        if self.norm == "instance":
            if self.norm1 is not None:
                self.norm1.build((None, height, width, channels))
            self.norm2.build(inner)
        if self.resample is not None or channels != self.filters:
            self.skip = SpectralConv2D(self.filters, 1, spectral_norm=self.spectral_norm, name="skip")
            self.skip.build((None, None, None, channels))
        self.built = True

    def call(self, x, adain_params=None):
        """x [B, H, W, in] → [B, H', W', filters].

        adain_params: for an adaptive block, [(shift1, scale1), (shift2, scale2)], each [B, C].
        """
        y = x if self.first else tf.nn.relu(self._normalize(self.norm1, x, adain_params, 0))
        y = self.conv1.after_upsampling(y) if self.resample == "up" else self.conv1(y)
        y = tf.nn.relu(self._normalize(self.norm2, y, adain_params, 1))
        y = self.conv2.then_pool(y) if self.resample == "down" else self.conv2(y)
        return y + self._shortcut(x)

    def _normalize(self, norm, x, adain_params, index: int):
        if norm is None:
            return x
        if self.norm == "instance":
            return tf.cast(norm(x), x.dtype)  # the norm itself is float32
        shift, scale = adain_params[index]
        return norm(x, shift, scale)

    def _shortcut(self, x):
        if self.resample == "down":
            x = tf.nn.avg_pool2d(x, 2, 2, "VALID")
        if self.skip is not None:
            x = self.skip(x)
        return upsample_nearest(x) if self.resample == "up" else x
