"""Headings above a preview grid, so that a person knows what each column shows.

Two lines: the group ("another person"), centred over its columns, and the column ("result").
"""

import itertools
from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

_INK, _PAPER, _RULE = (30, 30, 30), (255, 255, 255), (150, 150, 150)


def heading_height(cell: int) -> int:
    """Height of the strip in pixels for cells of `cell` pixels: even, since H.264 wants it."""
    return 2 * _line_height(cell)


def _line_height(cell: int) -> int:
    return max(14, min(cell // 5, 32))


def draw_headings(columns: Sequence[tuple[str, str]], cell: int) -> np.ndarray:
    """The strip for columns of `cell` pixels.

    Args:
      columns: (group, name) of each column; neighbours of one group share its heading.
      cell: width of a column, pixels.

    Returns:
      uint8 RGB [heading_height(cell), len(columns) * cell, 3].
    """
    line, width = _line_height(cell), len(columns) * cell
    strip = PIL.Image.new("RGB", (width, 2 * line), _PAPER)
    draw = PIL.ImageDraw.Draw(strip)
    start = 0
    for group, members in itertools.groupby(columns, key=lambda column: column[0]):
        span = cell * len(list(members))
        _write(draw, group, start, 0, span, line)
        if start:
            draw.line((start, 2, start, 2 * line), _RULE)
        start += span
    for index, (_, name) in enumerate(columns):
        _write(draw, name, index * cell, line, cell, line)
    return np.asarray(strip)


def _write(draw, text: str, left: int, top: int, width: int, height: int) -> None:
    """Centres `text` in a box, smaller where it would not fit."""
    size = height - 4
    font = PIL.ImageFont.load_default(size)
    while size > 5 and font.getlength(text) > width - 2:
        size -= 1
        font = PIL.ImageFont.load_default(size)
    centre = (left + width / 2, top + height / 2)
    draw.text(centre, text, fill=_INK, font=font, anchor="mm")
