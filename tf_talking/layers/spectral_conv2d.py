"""Convolution with a spectrally normalised kernel, also folded with the resampling beside it."""

import tensorflow as tf

from tf_talking.layers.spectral_norm import SpectralNorm

# Folding pays where there are pixels to save. On smaller maps the kernel, 16 taps instead of 9,
# costs more than the pixels give back (measured: `python -m benchmarks.folded_convolutions`).
FOLD_FROM = 32  # pixels, the larger of the two resolutions


def box_widened(kernel: tf.Tensor) -> tf.Tensor:
    """[k, k, in, out] → [k+1, k+1, in, out]: the kernel convolved with a 2×2 box of ones."""
    padded = tf.pad(kernel, [[0, 1], [0, 1], [0, 0], [0, 0]])
    rows = padded + tf.roll(padded, 1, axis=0)
    return rows + tf.roll(rows, 1, axis=1)


def upsample_nearest(x: tf.Tensor) -> tf.Tensor:
    """[B, H, W, C] → [B, 2H, 2W, C]. Broadcast and reshape: nearest resize has no XLA gradient."""
    height, width, channels = x.shape[1:]
    x = tf.reshape(x, [-1, height, 1, width, 1, channels])
    x = tf.broadcast_to(x, tf.concat([tf.shape(x)[:2], [2, width, 2, channels]], axis=0))
    return tf.reshape(x, [-1, 2 * height, 2 * width, channels])


class SpectralConv2D(SpectralNorm):
    """k×k convolution, stride 1, zero padding "SAME", NHWC.

    Besides calling it, the residual blocks use two compositions. A 3×3 convolution and the 2×2
    average pooling behind it are one 4×4 convolution of stride 2; nearest upsampling and the 3×3
    convolution behind it are one 4×4 transposed convolution of stride 2. Same sums, 16 instead of
    36 multiplications for each pixel of the smaller map and no map of the larger size between.

    Args:
      filters: output channels.
      kernel_size: k, in pixels.
      use_bias: adds a bias per output channel, which is not normalised.

    Attributes:
      fold: False computes the compositions one after the other, as they are written.
    """

    def __init__(self, filters: int, kernel_size: int, use_bias: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.use_bias = use_bias
        self.fold = True

    def build(self, input_shape):
        self._build_kernel((self.kernel_size, self.kernel_size, input_shape[-1], self.filters))
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros", trainable=True)
        self.built = True

    def call(self, x):
        """[B, H, W, in] → [B, H, W, filters]."""
        # "SAME", never explicit pads: their gradient leaves oneDNN on CPU.
        kernel = tf.cast(self.normalized_kernel(), x.dtype)
        return self._add_bias(tf.nn.conv2d(x, kernel, strides=1, padding="SAME"))

    def then_pool(self, x):
        """The convolution and 2×2 average pooling: [B, H, W, in] → [B, H/2, W/2, filters]."""
        if not (self.fold and self.kernel_size == 3 and x.shape[1] >= FOLD_FROM):
            return tf.nn.avg_pool2d(self(x), 2, 2, "VALID")
        kernel = tf.cast(box_widened(0.25 * self.normalized_kernel()), x.dtype)
        return self._add_bias(tf.nn.conv2d(x, kernel, strides=2, padding="SAME"))

    def after_upsampling(self, x):
        """Nearest ×2 and the convolution: [B, H, W, in] → [B, 2H, 2W, filters]."""
        if not (self.fold and self.kernel_size == 3 and 2 * x.shape[1] > FOLD_FROM):
            return self(upsample_nearest(x))
        # A transposed convolution reads its kernel mirrored, and with the channels swapped.
        kernel = box_widened(self.normalized_kernel()[::-1, ::-1])
        kernel = tf.cast(tf.transpose(kernel, [0, 1, 3, 2]), x.dtype)
        height, width = x.shape[1:3]
        shape = tf.stack([tf.shape(x)[0], 2 * height, 2 * width, self.filters])
        y = tf.nn.conv2d_transpose(x, kernel, shape, strides=2, padding="SAME")
        return self._add_bias(tf.ensure_shape(y, [None, 2 * height, 2 * width, self.filters]))

    def _add_bias(self, y):
        return tf.nn.bias_add(y, tf.cast(self.bias, y.dtype)) if self.use_bias else y
