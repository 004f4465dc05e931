"""Photos as bytes → crops, in the graph: what `embed_jpeg` does before the embedder.

Basics: sizes are read from the header, so that what is too large is refused before it is decoded.
The crop is that of preprocessing (`landmarks/crop.py`): the same box, borders by edge replication,
area down, cubic up (TensorFlow's cubic kernel, whose pixels differ from OpenCV's by a few levels).
Only pixels that the photo has are read: a box that reaches far over its edge, as landmarks across
a very wide or tall photo ask for, costs no more than the photo.
Conventions: landmarks (x, y) in pixels of the photo as stored: a camera's EXIF rotation is not
applied.
"""

import tensorflow as tf

from tf_talking.landmarks.crop import OUTSIDE_TOLERANCE, SIDE, UP_SHIFT

MAX_BYTES = 16 * 2**20
MAX_PIXELS = 2**24  # 4096×4096; a phone's 12 megapixels fit
MAX_SIDE = 2**13  # of either side: heads are not in strips
# A progressive JPEG has about ten scans, and a preview in it as many again. Each is decoded over
# the whole picture, and empty ones take few bytes: 16 MiB of them keep a core busy for minutes.
MAX_SCANS = 64

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def decode_photo(data: tf.Tensor) -> tf.Tensor:
    """JPEG or PNG bytes, string scalar → uint8 [H, W, 3].

    Raises (when the graph runs):
      InvalidArgumentError: another format, more than `MAX_BYTES`, `MAX_PIXELS`, `MAX_SIDE` or
        `MAX_SCANS`, or broken.
    """
    length = tf.strings.length(data)
    fits = _require(length <= MAX_BYTES, f"images: a photo has more than {MAX_BYTES} bytes", length)
    with tf.control_dependencies([fits]):
        data = tf.identity(data)
    # As every PNG begins: signature, length of the header, "IHDR", width, height.
    is_png = tf.strings.substr(data, 0, len(_PNG_SIGNATURE)) == _PNG_SIGNATURE
    is_png &= length > 24
    known = _require(is_png | tf.io.is_jpeg(data), "images: neither JPEG nor PNG", length)
    scans = tf.cond(is_png, lambda: 1, lambda: _scans(data))
    quick = _require(scans <= MAX_SCANS, f"images: a JPEG has more than {MAX_SCANS} scans", length)
    with tf.control_dependencies([known, quick]):
        size = tf.cond(is_png, lambda: _png_size(data), lambda: _jpeg_size(data))
    height, width = tf.unstack(tf.cast(size, tf.int64))
    # Each side by itself too: the product of two 32-bit numbers may be anything.
    allowed = (height > 0) & (width > 0) & (height * width <= MAX_PIXELS)
    allowed &= (height <= MAX_PIXELS) & (width <= MAX_PIXELS)
    small = _require(allowed, f"images: a photo has more than {MAX_PIXELS} pixels", size)
    compact = _require(
        (height <= MAX_SIDE) & (width <= MAX_SIDE), f"images: a side has more than {MAX_SIDE} pixels", size
    )
    with tf.control_dependencies([small, compact]):
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
    image = tf.cond(
        side > float(size), lambda: _shrunk(photo, corner, side, size), lambda: _enlarged(photo, corner, side, size)
    )
    image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
    moved = (landmarks - corner + 0.5) * (float(size) / side) - 0.5
    return tf.ensure_shape(image, [size, size, 3]), moved


def _enlarged(photo: tf.Tensor, corner: tf.Tensor, side: tf.Tensor, size: int) -> tf.Tensor:
    """The box, of at most S pixels a side, by cubic interpolation: float32 [S, S, 3]."""
    height, width = tf.unstack(tf.shape(photo)[:2])
    pixels = tf.range(tf.cast(side, tf.int32))
    left, top = tf.unstack(tf.cast(corner, tf.int32))
    # Indices held inside the photo repeat its edge.
    cut = tf.gather(photo, tf.clip_by_value(pixels + top, 0, height - 1), axis=0)
    cut = tf.gather(cut, tf.clip_by_value(pixels + left, 0, width - 1), axis=1)
    return tf.image.resize(cut, [size, size], "bicubic")


def _shrunk(photo: tf.Tensor, corner: tf.Tensor, side: tf.Tensor, size: int) -> tf.Tensor:
    """The box, of more than S pixels a side, by area averages: float32 [S, S, 3]."""
    left, top = tf.unstack(tf.cast(corner, tf.int32))
    width = tf.shape(photo)[1]
    first = tf.clip_by_value(left, 0, width - 1)
    last = tf.clip_by_value(left + tf.cast(side, tf.int32), first + 1, width)
    columns = photo[:, first:last]
    rows = _area_rows(columns, top, side, size)  # [S, w, 3]
    return tf.transpose(_area_rows(tf.transpose(rows, [1, 0, 2]), left - first, side, size), [1, 0, 2])


def _area_rows(image: tf.Tensor, start: tf.Tensor, side: tf.Tensor, size: int) -> tf.Tensor:
    """S averages over `side` / S rows each, from row `start` on; beyond the image its edge counts.

    Args:
      image: [n, m, 3], uint8 or float32.
      start: int32, may be negative.
      side: float32, whole.

    Returns:
      float32 [S, m, 3].
    """
    count = tf.shape(image)[0]
    end = tf.cast(count, tf.float64)
    cell = tf.cast(side, tf.float64) / size
    far = tf.constant(1e9, tf.float64)

    def average(index):
        low = tf.cast(start, tf.float64) + cell * tf.cast(index, tf.float64)
        high = low + cell
        first = tf.clip_by_value(tf.cast(tf.floor(low), tf.int32), 0, count - 1)
        last = tf.clip_by_value(tf.cast(tf.math.ceil(high), tf.int32), first + 1, count)
        begins = tf.cast(tf.range(first, last), tf.float64)
        # The first and the last row of the image go on for ever.
        lows = tf.where(begins > 0.0, begins, -far)
        highs = tf.where(begins + 1.0 < end, begins + 1.0, far)
        weights = tf.maximum(tf.minimum(high, highs) - tf.maximum(low, lows), 0.0) / cell
        return tf.tensordot(tf.cast(weights, tf.float32), tf.cast(image[first:last], tf.float32), 1)

    spec = tf.TensorSpec([None, 3], tf.float32)
    return tf.map_fn(average, tf.range(size), fn_output_signature=spec)


def _png_size(data: tf.Tensor) -> tf.Tensor:
    numbers = tf.io.decode_raw(tf.strings.substr(data, 16, 8), tf.int32, little_endian=False)
    return tf.ensure_shape(numbers[::-1], [2])  # stored as width, height


def _jpeg_size(data: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.io.extract_jpeg_shape(data)[:2], [2])


def _scans(data: tf.Tensor) -> tf.Tensor:
    """How often "start of scan" stands in a JPEG; more than that it is not searched for."""
    return tf.size(tf.strings.split(data, b"\xff\xda", maxsplit=MAX_SCANS + 1)) - 1


def _require(condition: tf.Tensor, message: str, value: tf.Tensor) -> tf.Operation:
    return tf.debugging.Assert(condition, [message, value])
