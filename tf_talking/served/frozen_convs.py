"""Convolutions of a frozen network: the kernel is known, so it may be rewritten for speed.

Basics: each function takes a kernel as a NumPy array, rewrites it once, and puts the result into
the graph as a constant, which a CPU lays out once and not in every call. Results equal the plain
convolution within float rounding: only the order of the sums differs.

    convolve                 as it is written
    convolve_winograd        3×3 as Winograd's F(2, 3) along the rows: 6 instead of 9 products
    convolve_then_pool       3×3 and 2×2 average pooling → one 4×4 of stride 2: 16 instead of 36
    convolve_after_upsample  nearest ×2 and 3×3 → its four 2×2 phases: 16 instead of 36
    convolve_to_image        3×3 to 3 channels → one 4×4 of stride 2 to blocks of 2×2 pixels

Conventions: NHWC, zero padding "SAME", kernels float32 [k, k, in, out]; constants take the type of
the activations.
"""

import numpy as np
import tensorflow as tf

# Where the four phases are faster as one 2×2 convolution than as a transposed one: small maps have
# large kernels, and the transposed convolution lays its kernel out anew in every call.
PHASES_UP_TO = 16  # pixels, of the smaller map


def convolve(x, kernel: np.ndarray, bias: np.ndarray | None = None, stride: int = 1):
    """[B, H, W, in] → [B, H/stride, W/stride, out]."""
    y = tf.nn.conv2d(x, tf.constant(kernel, x.dtype), stride, "SAME")
    return y if bias is None else tf.nn.bias_add(y, tf.constant(bias, x.dtype))


def convolve_winograd(x, kernel: np.ndarray):
    """3×3 without bias, [1, H, W, in] → [1, H, W, out]; H even, one image.

    Two rows of the output come from four rows of the input: four sums of rows, each convolved by a
    1×3 kernel, and sums of those (Lavin and Gray 2016, F(2, 3) in one dimension; more would cost
    more passes over memory than it saves). One image, since slices along the first dimension need
    no copy.
    """
    _, height, width, channels = x.shape
    first, middle, last = kernel
    kernels = (first, (first + middle + last) / 2, (first - middle + last) / 2, last)
    rows = tf.pad(tf.reshape(x, [height, width * channels]), [[1, 1], [0, 0]])
    rows = tf.transpose(tf.reshape(rows, [height // 2 + 1, 2, width * channels]), [1, 0, 2])
    even, odd = (tf.reshape(rows[i], [-1, width, channels]) for i in range(2))
    a, b, c, d = even[:-1], odd[:-1], even[1:], odd[1:]  # rows 2i-1, 2i, 2i+1, 2i+2
    sums = (a - c, b + c, c - b, b - d)
    products = [convolve(rows[tf.newaxis], part[np.newaxis])[0] for rows, part in zip(sums, kernels, strict=True)]
    upper = products[0] + products[1] + products[2]
    lower = products[1] - products[2] - products[3]
    return tf.reshape(tf.stack([upper, lower], axis=1), [1, height, width, kernel.shape[3]])


def convolve_then_pool(x, kernel: np.ndarray, bias: np.ndarray | None = None):
    """3×3 and 2×2 average pooling, [B, H, W, in] → [B, H/2, W/2, out]."""
    return convolve(x, box_widened(0.25 * kernel), bias, stride=2)


def convolve_after_upsample(x, kernel: np.ndarray):
    """Nearest ×2 and 3×3 without bias, [B, H, W, in] → [B, 2H, 2W, out]."""
    height, width, channels = x.shape[1], x.shape[2], kernel.shape[3]
    if height <= PHASES_UP_TO:
        padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        y = tf.nn.conv2d(padded, tf.constant(phase_kernels(kernel), x.dtype), 1, "VALID")
        phases = tf.reshape(y, [-1, height + 1, width + 1, 2, 2, channels])
        # Output row 2i + a sees input rows i - 1 + a and i + a, columns likewise.
        rows = [tf.stack([phases[:, a : a + height, b : b + width, a, b] for b in range(2)], axis=3) for a in range(2)]
        return tf.reshape(tf.stack(rows, axis=2), [-1, 2 * height, 2 * width, channels])
    # A transposed convolution reads its kernel mirrored, and with the channels swapped.
    mirrored = np.transpose(box_widened(kernel[::-1, ::-1]), [0, 1, 3, 2])
    shape = tf.stack([tf.shape(x)[0], 2 * height, 2 * width, channels])
    y = tf.nn.conv2d_transpose(x, tf.constant(mirrored, x.dtype), shape, 2, "SAME")
    return tf.ensure_shape(y, [x.shape[0], 2 * height, 2 * width, channels])


def convolve_to_image(x, kernel: np.ndarray, bias: np.ndarray):
    """3×3 to few channels, [B, H, W, in] → [B, H, W, out]; H and W even.

    A CPU computes 16 channels at a time, an image has 3. Four pixels at a time have 12.
    """
    channels = kernel.shape[3]
    block = np.zeros((4, 4, kernel.shape[2], 2, 2, channels), kernel.dtype)
    for a in range(2):
        for b in range(2):
            block[a : a + 3, b : b + 3, :, a, b] = kernel
    y = convolve(x, block.reshape(4, 4, -1, 4 * channels), np.tile(bias, 4), stride=2)
    return tf.nn.depth_to_space(y, 2)


def box_widened(kernel: np.ndarray) -> np.ndarray:
    """[k, k, in, out] → [k+1, k+1, in, out]: the kernel convolved with a 2×2 box of ones."""
    padded = np.pad(kernel, [(0, 1), (0, 1), (0, 0), (0, 0)])
    rows = padded + np.roll(padded, 1, axis=0)
    return rows + np.roll(rows, 1, axis=1)


def phase_kernels(kernel: np.ndarray) -> np.ndarray:
    """[3, 3, in, out] → [2, 2, in, 4·out]: what each pixel of an upsampled 2×2 block sees."""

    def split(part: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        first, middle, last = np.split(part, 3, axis)
        return (np.concatenate([first, middle + last], axis), np.concatenate([first + middle, last], axis))

    phases = [part for rows in split(kernel, 0) for part in split(rows, 1)]
    return np.concatenate(phases, axis=-1)
