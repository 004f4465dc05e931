"""OpenCV's lines as spans of pixels a row, in closed form, with TensorFlow ops.

OpenCV draws a line of thickness 1 by Bresenham's algorithm (left to right), and a thicker one as a
quadrilateral of twice the half width, in 16-bit fixed point: its four edges as thin lines, its
inside row by row, and a small disc on either end. All of them are sequences of whole pixels

    major = start + k,  minor = floor((offset + k * slope) / scale),  k = 0 ... count

so the pixels of a row follow without walking along the line. Every line, edge and quadrilateral
covers one unbroken span of a row: (lo, hi), both inclusive, empty where lo > hi.

Numbers are whole and held in float64, which is exact below 2^53, and whose arithmetic, unlike that
of integers, runs on every device. Points are (x, y); leading dimensions are free.
"""

import typing

import tensorflow as tf

FIXED_ONE = 65536.0  # OpenCV's XY_ONE
_HALF = FIXED_ONE / 2
_FAR = 2.0**40  # an empty span is (_FAR, -_FAR)

# Half widths of the rows of OpenCV's filled circle of radius 1, 2 and 3 pixels.
_DISCS = {1: (0, 1, 0), 2: (0, 1, 2, 1, 0), 3: (0, 2, 2, 3, 2, 2, 0)}


class DigitalLine(typing.NamedTuple):
    """The sequence of pixels of the module's docstring; count < 0 where nothing is drawn."""

    x_major: tf.Tensor  # bool: the major coordinate is x
    start: tf.Tensor
    count: tf.Tensor
    offset: tf.Tensor
    slope: tf.Tensor
    scale: tf.Tensor


def _truncate(value: tf.Tensor) -> tf.Tensor:
    """C's conversion to a whole number, towards zero."""
    return tf.where(value < 0, tf.math.ceil(value), tf.math.floor(value))


def _swap(condition: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.where(condition, b, a), tf.where(condition, a, b)


def _clip_to_canvas(p: tf.Tensor, q: tf.Tensor, limit: float):
    """OpenCV's clipLine to 0 ... limit in both coordinates.

    Args:
      p, q: float64 [..., 2], the two ends.
      limit: largest coordinate on the canvas, in the unit of p and q.

    Returns:
      (px, py, qx, qy, visible), float64 and bool [...].
    """
    px, py = tf.unstack(p, axis=-1)
    qx, qy = tf.unstack(q, axis=-1)

    def move(px, py, qx, qy):
        """p along the line onto the border that it lies beyond in y; division as in OpenCV."""
        target = tf.clip_by_value(py, 0.0, limit)
        step = tf.math.divide_no_nan((target - py) * (qx - px), qy - py)
        return px + _truncate(step), target

    apart = ((py < 0) & (qy < 0)) | ((py > limit) & (qy > limit))
    apart |= ((px < 0) & (qx < 0)) | ((px > limit) & (qx > limit))
    px, py = move(px, py, qx, qy)
    qx, qy = move(qx, qy, px, py)
    apart |= ((px < 0) & (qx < 0)) | ((px > limit) & (qx > limit))
    py, px = move(py, px, qy, qx)
    qy, qx = move(qy, qx, py, px)
    return px, py, qx, qy, ~apart


def bresenham_line(p: tf.Tensor, q: tf.Tensor, size: int) -> DigitalLine:
    """A line of thickness 1 between whole pixels p and q, float64 [..., 2], clipped first."""
    px, py, qx, qy, visible = _clip_to_canvas(p, q, size - 1.0)
    leftwards = qx < px
    px, qx = _swap(leftwards, px, qx)
    py, qy = _swap(leftwards, py, qy)
    dx, dy = qx - px, qy - py
    x_major = dx >= tf.abs(dy)
    length = tf.maximum(dx, tf.abs(dy))
    scale = tf.maximum(2 * length, 1.0)
    # Halves are rounded towards the left end's side, whichever way the line runs.
    before_half = tf.maximum(length - 1, 0.0)
    offset_x = py * scale + tf.where(dy < 0, length, before_half)
    offset_y = px * scale + before_half + tf.where(dy < 0, scale * dx, 0.0)
    return DigitalLine(
        x_major=x_major,
        start=tf.where(x_major, px, tf.minimum(py, qy)),
        count=tf.where(visible, length, -1.0),
        offset=tf.where(x_major, offset_x, offset_y),
        slope=tf.where(x_major, 2 * dy, tf.where(dy < 0, -2 * dx, 2 * dx)),
        scale=scale,
    )


def fixed_point_line(p: tf.Tensor, q: tf.Tensor, size: int):
    """A line between points p and q in fixed point, float64 [..., 2] (OpenCV's Line2).

    Returns:
      (DigitalLine, x, y): the line, and its far end as whole pixels [...], which OpenCV draws too.
    """
    px, py, qx, qy, visible = _clip_to_canvas(p, q, size * FIXED_ONE - 1)
    x_major = tf.abs(qx - px) > tf.abs(qy - py)
    backwards = tf.where(x_major, qx < px, qy < py)
    px, qx = _swap(backwards, px, qx)
    py, qy = _swap(backwards, py, qy)
    major, minor = _swap(x_major, py, px)
    length, rise = _swap(x_major, qy - py, qx - px)
    odd = length + 1 - tf.math.floormod(length, 2.0)
    line = DigitalLine(
        x_major=x_major,
        start=tf.math.floor((major + _HALF) / FIXED_ONE),
        count=tf.where(visible, tf.math.floor(length / FIXED_ONE), -1.0),
        offset=minor + _HALF,
        slope=_truncate(rise * FIXED_ONE / odd),
        scale=tf.fill(tf.shape(length), tf.constant(FIXED_ONE, tf.float64)),
    )
    y = tf.where(visible, tf.math.floor((qy + _HALF) / FIXED_ONE), _FAR)
    return line, tf.math.floor((qx + _HALF) / FIXED_ONE), y


def line_span(line: DigitalLine, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Pixels of a line in the given rows; fields and `rows` float64, broadcast together."""
    slope = tf.where(line.slope == 0, tf.ones_like(line.slope), line.slope)
    enter = (rows * line.scale - line.offset) / slope
    leave = ((rows + 1) * line.scale - line.offset) / slope
    first = tf.where(slope > 0, tf.math.ceil(enter), tf.math.floor(leave) + 1)
    last = tf.where(slope > 0, tf.math.ceil(leave) - 1, tf.math.floor(enter))
    level = tf.math.floor(line.offset / line.scale) == rows
    first = tf.where(line.slope == 0, tf.zeros_like(first), tf.maximum(first, 0.0))
    last = tf.where(line.slope == 0, tf.where(level, line.count, -1.0), last)
    last = tf.minimum(last, line.count)

    k = rows - line.start
    x = tf.math.floor((line.offset + k * line.slope) / line.scale)
    lo = tf.where(line.x_major, line.start + first, x)
    hi = tf.where(line.x_major, line.start + last, x)
    drawn = tf.where(line.x_major, first <= last, (k >= 0) & (k <= line.count))
    return tf.where(drawn, lo, _FAR), tf.where(drawn, hi, -_FAR)


def thick_line_corners(p: tf.Tensor, q: tf.Tensor, thickness: int) -> tf.Tensor:
    """Corners in fixed point, float64 [..., 4, 2], of the quadrilateral around pixels p, q."""
    dx, dy = tf.unstack(q - p, axis=-1)
    half_width = tf.constant((thickness + thickness % 2) * _HALF, tf.float64)
    ratio = tf.math.divide_no_nan(half_width, tf.sqrt(dx * dx + dy * dy))
    across = tf.round(tf.stack([dy * ratio, -dx * ratio], axis=-1))
    p, q = p * FIXED_ONE, q * FIXED_ONE
    return tf.stack([p + across, p - across, q - across, q + across], axis=-2)


class Quad(typing.NamedTuple):
    """What is drawn of a thick line without its ends; every field has a last axis of 4 edges."""

    edges: DigitalLine
    corner_x: tf.Tensor  # whole pixels; corner_y is far away where the edge is off the canvas
    corner_y: tf.Tensor
    fill_x: tf.Tensor  # fixed point, at the edge's upper end
    fill_step: tf.Tensor
    fill_from: tf.Tensor  # rows fill_from <= row < fill_to
    fill_to: tf.Tensor


def quad(corners: tf.Tensor, size: int) -> Quad:
    """Edges and inside (OpenCV's FillConvexPoly) of corners float64 [..., 4, 2], fixed point."""
    previous = tf.roll(corners, shift=1, axis=-2)
    edges, corner_x, corner_y = fixed_point_line(previous, corners, size)
    rows = tf.math.floor((corners[..., 1] + _HALF) / FIXED_ONE)
    previous_rows = tf.math.floor((previous[..., 1] + _HALF) / FIXED_ONE)
    upwards = previous_rows > rows
    top_x, bottom_x = _swap(upwards, previous[..., 0], corners[..., 0])
    top, bottom = _swap(upwards, previous_rows, rows)
    height = tf.maximum(bottom - top, 1.0)
    return Quad(
        edges=edges,
        corner_x=corner_x,
        corner_y=corner_y,
        fill_x=top_x + _HALF,
        fill_step=_truncate((2 * (bottom_x - top_x) + height) / (2 * height)),
        fill_from=top,
        fill_to=bottom,
    )


def quad_span(shape: Quad, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Pixels of a quadrilateral; fields [..., 4, 1], rows [..., 1, R] -> two of [..., R]."""
    lo, hi = line_span(shape.edges, rows)
    inside = (rows >= shape.fill_from) & (rows < shape.fill_to)
    x = tf.math.floor((shape.fill_x + (rows - shape.fill_from) * shape.fill_step) / FIXED_ONE)
    for drawn, pixel in ((inside, x), (rows == shape.corner_y, shape.corner_x)):
        lo = tf.minimum(lo, tf.where(drawn, pixel, _FAR))
        hi = tf.maximum(hi, tf.where(drawn, pixel, -_FAR))
    return tf.reduce_min(lo, axis=-2), tf.reduce_max(hi, axis=-2)


def disc_half_widths(thickness: int) -> tuple[int, ...]:
    """Half widths, top to bottom, of the disc that OpenCV puts on the ends; () for thickness 1.

    Raises:
      ValueError: thickness is not 1 to 5.
    """
    if not 1 <= thickness <= 5:
        raise ValueError(f"line_thickness: got {thickness}, expected 1 to 5 pixels")
    return () if thickness == 1 else _DISCS[(thickness + 1) // 2]
