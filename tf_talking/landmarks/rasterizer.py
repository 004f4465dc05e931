"""The landmark image drawn inside the graph: in training, fine-tuning and the served model alike.

TensorFlow ops only, static shapes, XLA-compilable, deterministic, equal for a batch and for its
rows. Gives the same pixels as `draw.py` (OpenCV); rounding is decided and explained there.

How: a line covers one span of pixels in a row (`line_spans.py`). Each part of the scheme owns a few
bits of a number; a span adds the part's lowest bit at its first pixel and takes it away behind its
last one, so that a running sum along the row counts, part by part, what covers a pixel. The topmost
part holds the highest bit that is set: the exponent of the float64 sum names its colour.
"""

import numpy as np
import tensorflow as tf

from tf_talking.landmarks import line_spans
from tf_talking.landmarks import scheme as scheme_lib
from tf_talking.landmarks.draw import COORDINATE_LIMIT

# Rows of a line handled at once; longer lines take more turns of a loop. At 256 px the lines of a
# face rarely span more, and unused rows cost as much as used ones.
_ROWS = 32


def rasterize(
    landmarks: tf.Tensor, image_size: int, scheme: str = "ibug68", line_thickness: int = 2, inner_lips: bool = False
) -> tf.Tensor:
    """Draws landmark images on a black canvas (paper section 3.1).

    Args:
      landmarks: float32 [B, N, 2], (x, y) in pixels of the S x S frame. What lies off the canvas
        is clipped; a line with an end that is not finite is left out.
      image_size: S, pixels.
      scheme: name of a scheme of `scheme.py`, which fixes N.
      line_thickness: as OpenCV's, 1 to 5 pixels.
      inner_lips: draw points 60-67 too.

    Returns:
      uint8 [B, S, S, 3], RGB.

    Raises:
      ValueError: unknown scheme or thickness, or landmarks of another shape.
    """
    plan = _Plan(scheme_lib.get_scheme(scheme, inner_lips), line_thickness)
    landmarks = tf.convert_to_tensor(landmarks)
    if landmarks.shape.rank != 3 or not landmarks.shape[1:].is_compatible_with([plan.num_points, 2]):
        raise ValueError(
            f"landmarks: got shape {landmarks.shape}, expected [batch, {plan.num_points}, 2] for scheme {scheme!r}"
        )
    with tf.name_scope("rasterize"):
        points = _round(landmarks)
        canvas = _Canvas(tf.shape(points)[0], image_size)
        sums = _add_lines(canvas, canvas.empty(), points, plan, line_thickness)
        if plan.disc_half_widths:
            sums = _add_discs(canvas, sums, points, plan)
        return canvas.colours(sums, plan.palette)


class _Plan:
    """What is drawn, as NumPy constants: G lines, their parts' bits, the ends of thick lines."""

    def __init__(self, scheme: scheme_lib.Scheme, thickness: int):
        lines = scheme_lib.segments(scheme, thickness)
        self.num_points = scheme.num_points
        self.start = np.array([line.start for line in lines])
        self.end = np.array([line.end for line in lines])
        self.start_offset = np.array([line.start_offset for line in lines], np.float64)
        self.end_offset = np.array([line.end_offset for line in lines], np.float64)
        self.disc_half_widths = line_spans.disc_half_widths(thickness)

        ends = {(line.part, line.start, line.start_offset) for line in lines}
        ends |= {(line.part, line.end, line.end_offset) for line in lines}
        ends = sorted(ends)
        self.disc_point = np.array([point for _, point, _ in ends])
        self.disc_offset = np.array([offset for _, _, offset in ends], np.float64)

        bits, colours = [], [(0, 0, 0)]
        for layer, part in enumerate(scheme.parts):
            bits.append(2.0 ** (len(colours) - 1))
            covers = sum(line.part == layer for line in lines) + sum(e[0] == layer for e in ends)
            colours += [part.colour] * int(covers).bit_length()
        if len(colours) > 53:
            raise ValueError(f"scheme {scheme.name!r} has too many lines for 52 bits")
        self.line_bits = np.array([bits[line.part] for line in lines])
        self.disc_bits = np.array([bits[part] for part, _, _ in ends])
        # Entry e + 1 is the colour of numbers 2^e ... 2^(e+1) - 1, entry 0 that of zero.
        self.palette = np.array(colours, np.uint8)


class _Canvas:
    """B images of S rows with S + 1 running differences; the last column swallows the rest."""

    def __init__(self, batch: tf.Tensor, size: int):
        self.batch, self.size = batch, size

    def empty(self) -> tf.Tensor:
        return tf.zeros([self.batch * self.size * (self.size + 1)], tf.float64)

    def add_spans(self, sums, rows, lo, hi, bits) -> tf.Tensor:
        """Adds `bits` to the pixels lo ... hi of `rows`; all float64 [B, ...], broadcast."""
        size = float(self.size)
        drawn = (lo <= hi) & (hi >= 0) & (lo < size) & (rows >= 0) & (rows < size)
        image = tf.range(tf.cast(self.batch, tf.float64), dtype=tf.float64)
        image = tf.reshape(image, [-1] + [1] * (lo.shape.rank - 1))
        row_start = (image * size + rows) * (size + 1)
        first = tf.where(drawn, row_start + tf.maximum(lo, 0.0), size)
        behind = tf.where(drawn, row_start + tf.minimum(hi + 1, size), size)
        amount = tf.where(drawn, bits, 0.0)
        indices = tf.reshape(tf.concat([first, behind], axis=0), [-1, 1])
        updates = tf.reshape(tf.concat([amount, -amount], axis=0), [-1])
        return tf.tensor_scatter_nd_add(sums, tf.cast(indices, tf.int64), updates)

    def colours(self, sums: tf.Tensor, palette: np.ndarray) -> tf.Tensor:
        """uint8 [B, S, S, 3] from the differences."""
        sums = tf.reshape(sums, [self.batch, self.size, self.size + 1])[:, :, :-1]
        sums = tf.cumsum(sums, axis=-1)
        # float64: 11 bits of exponent, biased by 1023, above 52 of mantissa; 0 for zero.
        exponent = tf.bitwise.right_shift(tf.bitcast(sums, tf.int64), tf.constant(52, tf.int64))
        entry = tf.maximum(exponent - 1022, 0)
        # TensorFlow has no uint8 gather on GPUs.
        return tf.cast(tf.gather(tf.constant(palette, tf.float32), entry), tf.uint8)


def _round(landmarks: tf.Tensor) -> tf.Tensor:
    points = tf.math.floor(tf.cast(landmarks, tf.float64) + 0.5)
    finite = tf.reduce_all(tf.math.is_finite(points), axis=-1, keepdims=True)
    points = tf.where(finite, points, np.nan)  # no comparison with NaN holds: nothing is drawn
    limit = float(COORDINATE_LIMIT)
    return tf.clip_by_value(points, -limit, limit)


def _add_lines(canvas: _Canvas, sums, points, plan: _Plan, thickness: int) -> tf.Tensor:
    p = tf.gather(points, plan.start, axis=1) + plan.start_offset  # [B, G, 2]
    q = tf.gather(points, plan.end, axis=1) + plan.end_offset
    if thickness == 1:
        shape = line_spans.bresenham_line(p, q, canvas.size)
        span = line_spans.line_span
    else:
        shape = line_spans.quad(line_spans.thick_line_corners(p, q, thickness), canvas.size)
        span = line_spans.quad_span
    shape = tf.nest.map_structure(lambda field: field[..., tf.newaxis], shape)

    reach = len(plan.disc_half_widths) // 2
    bottom = canvas.size - 1.0
    ends = p[..., 1], q[..., 1]
    first = tf.clip_by_value(tf.minimum(*ends) - reach, 0.0, bottom)  # [B, G]
    last = tf.clip_by_value(tf.maximum(*ends) + reach, 0.0, bottom)
    height = tf.where(last >= first, last - first + 1, 0.0)
    turns = tf.cast(tf.math.ceil(tf.reduce_max(height) / _ROWS), tf.int64)
    window = first[..., tf.newaxis] + np.arange(_ROWS, dtype=np.float64)  # [B, G, R]
    bits = plan.line_bits[:, np.newaxis]

    def body(turn, sums):
        rows = window + tf.cast(turn, tf.float64) * _ROWS
        lo, hi = span(shape, rows if thickness == 1 else rows[:, :, tf.newaxis])
        return turn + 1, canvas.add_spans(sums, rows, lo, hi, bits)

    start = tf.constant(0, tf.int64)
    return tf.while_loop(lambda turn, _: turn < turns, body, [start, sums])[1]


def _add_discs(canvas: _Canvas, sums, points, plan: _Plan) -> tf.Tensor:
    centre = tf.gather(points, plan.disc_point, axis=1) + plan.disc_offset
    x, y = tf.split(centre, 2, axis=-1)  # [B, C, 1]
    half_widths = np.array(plan.disc_half_widths, np.float64)
    rows = y + (np.arange(len(half_widths)) - len(half_widths) // 2)
    bits = plan.disc_bits[:, np.newaxis]
    return canvas.add_spans(sums, rows, x - half_widths, x + half_widths, bits)
