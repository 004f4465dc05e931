"""Photos as bytes → crops, in the graph: what `embed_jpeg` does before the embedder.

Basics: sizes are read from the header, so that what is too large is refused before it is decoded.
The crop is that of preprocessing (`landmarks/crop.py`): the same box, borders by edge replication,
area down, cubic up (TensorFlow's cubic kernel, whose pixels differ from OpenCV's by a few levels).
Conventions: landmarks (x, y) in pixels of the photo as stored: a camera's EXIF rotation is not
applied.
"""

import tensorflow as tf

from tf_talking.landmarks.crop import OUTSIDE_TOLERANCE, SIDE, UP_SHIFT

MAX_BYTES = 16 * 2**20
MAX_PIXELS = 2**24  # 4096×4096; a phone's 12 megapixels fit

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def decode_photo(data: tf.Tensor) -> tf.Tensor:
    """JPEG or PNG bytes, string scalar → uint8 [H, W, 3].

    Raises (when the graph runs):
      InvalidArgumentError: another format, more than `MAX_BYTES` or `MAX_PIXELS`, or broken.
    """
    length = tf.strings.length(data)
    fits = _require(length <= MAX_BYTES, f"images: a photo has more than {MAX_BYTES} bytes", length)
    with tf.control_dependencies([fits]):
        data = tf.identity(data)
    # As every PNG begins: signature, length of the header, "IHDR", width, height.
    is_png = tf.strings.substr(data, 0, len(_PNG_SIGNATURE)) == _PNG_SIGNATURE
    is_png &= length > 24
    known = _require(is_png | tf.io.is_jpeg(data), "images: neither JPEG nor PNG", length)
    with tf.control_dependencies([known]):
        size = tf.cond(is_png, lambda: _png_size(data), lambda: _jpeg_size(data))
    height, width = tf.unstack(tf.cast(size, tf.int64))
    # Each side by itself too: the product of two 32-bit numbers may be anything.
    allowed = (height > 0) & (width > 0) & (height * width <= MAX_PIXELS)
    allowed &= (height <= MAX_PIXELS) & (width <= MAX_PIXELS)
    small = _require(allowed, f"images: a photo has more than {MAX_PIXELS} pixels", size)
    with tf.control_dependencies([small]):
        image = tf.io.decode_image(tf.identity(data), channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def crop_photo(photo: tf.Tensor, landmarks: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The head: uint8 [H, W, 3], float32 [P, 2] → uint8 [S, S, 3], float32 [P, 2] in its pixels.

    Args:
      photo: RGB.
      landmarks: finite, in pixels of the photo.
      size: S.

    Raises (when the graph runs):
      InvalidArgumentError: the landmarks span less than a pixel, or lie outside the photo by more
        than `OUTSIDE_TOLERANCE` of their extent.
    """
    height, width = tf.unstack(tf.shape(photo)[:2])
    low, high = tf.reduce_min(landmarks, axis=0), tf.reduce_max(landmarks, axis=0)
    extent = tf.reduce_max(high - low)
    last = tf.cast(tf.stack([width, height]), tf.float32) - 0.5
    beyond = tf.maximum(tf.reduce_max(-0.5 - low), tf.reduce_max(high - last))
    checks = [
        _require(extent >= 1.0, "landmarks: they span less than a pixel", extent),
        _require(
            beyond <= OUTSIDE_TOLERANCE * tf.maximum(extent, 1.0),
            "landmarks: outside the photo, whose pixels they must be given in",
            beyond,
        ),
    ]
    with tf.control_dependencies(checks):
        extent = tf.identity(extent)
    side = tf.maximum(tf.round(SIDE * extent), 2.0)
    up = tf.stack([0.0, UP_SHIFT]) * extent
    corner = tf.round((low + high) / 2.0 - up + 0.5 - side / 2.0)
    pixels = tf.range(tf.cast(side, tf.int32))
    left, top = tf.unstack(tf.cast(corner, tf.int32))
    # Indices held inside the photo repeat its edge.
    cut = tf.gather(photo, tf.clip_by_value(pixels + top, 0, height - 1), axis=0)
    cut = tf.gather(cut, tf.clip_by_value(pixels + left, 0, width - 1), axis=1)
    image = tf.cond(
        side > float(size),
        lambda: tf.image.resize(cut, [size, size], "area"),
        lambda: tf.image.resize(cut, [size, size], "bicubic"),
    )
    image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
    moved = (landmarks - corner + 0.5) * (float(size) / side) - 0.5
    return tf.ensure_shape(image, [size, size, 3]), moved


def _png_size(data: tf.Tensor) -> tf.Tensor:
    numbers = tf.io.decode_raw(tf.strings.substr(data, 16, 8), tf.int32, little_endian=False)
    return tf.ensure_shape(numbers[::-1], [2])  # stored as width, height


def _jpeg_size(data: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.io.extract_jpeg_shape(data)[:2], [2])


def _require(condition: tf.Tensor, message: str, value: tf.Tensor) -> tf.Operation:
    return tf.debugging.Assert(condition, [message, value])
