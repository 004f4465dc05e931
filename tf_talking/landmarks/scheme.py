"""Landmark schemes: which points are joined, in which order and in which colour.

Parts are drawn in the order of the list, later ones over earlier ones. Points follow the iBUG
68-point order; "right" and "left" are the person's own. Colours are RGB.

Schemes:
  ibug68: 68 points (paper section 3.1: "a predefined set of colors to connect certain landmarks").
  ibug68_gaze: 70 points, those 68 and the iris centres (68 right eye, 69 left eye). The paper's
    conclusion names the missing gaze as the main limitation of its landmark image.

A part of one point is a mark: an upright cross with arms of `line_thickness` pixels.
"""

import dataclasses
import functools

RGB = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Part:
    """A polyline through points of the scheme, or a mark on a single point."""

    name: str
    indices: tuple[int, ...]
    closed: bool  # also join the last point to the first
    colour: RGB


@dataclasses.dataclass(frozen=True)
class Scheme:
    """Everything drawn for one set of landmarks, bottom layer first."""

    name: str
    num_points: int
    parts: tuple[Part, ...]


@dataclasses.dataclass(frozen=True)
class Segment:
    """A line between two points, each moved by whole pixels (dx, dy); `part` is its layer."""

    part: int
    start: int
    end: int
    start_offset: tuple[int, int] = (0, 0)
    end_offset: tuple[int, int] = (0, 0)


def _run(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


_FACE = (
    Part("jaw", _run(0, 16), False, (255, 255, 255)),
    Part("right_brow", _run(17, 21), False, (255, 0, 0)),
    Part("left_brow", _run(22, 26), False, (0, 255, 0)),
    Part("nose_bridge", _run(27, 30), False, (0, 0, 255)),
    Part("nostrils", _run(31, 35), False, (0, 0, 255)),
    Part("right_eye", _run(36, 41), True, (255, 0, 255)),
    Part("left_eye", _run(42, 47), True, (0, 255, 255)),
    Part("outer_lips", _run(48, 59), True, (255, 255, 0)),
)
_INNER_LIPS = (Part("inner_lips", _run(60, 67), True, (255, 128, 0)),)
_GAZE = (Part("right_iris", (68,), False, (128, 255, 128)), Part("left_iris", (69,), False, (255, 128, 128)))

_NUM_POINTS = {"ibug68": 68, "ibug68_gaze": 70}


@functools.cache
def get_scheme(name: str, inner_lips: bool = False) -> Scheme:
    """The scheme of that name, with points 60-67 drawn if `inner_lips`.

    Raises:
      ValueError: unknown name; the message lists the known ones.
    """
    if name not in _NUM_POINTS:
        raise ValueError(f"unknown landmark scheme {name!r}, expected one of {sorted(_NUM_POINTS)}")
    parts = _FACE + (_INNER_LIPS if inner_lips else ())
    if name == "ibug68_gaze":
        parts += _GAZE
    return Scheme(name=name, num_points=_NUM_POINTS[name], parts=parts)


def segments(scheme: Scheme, line_thickness: int) -> list[Segment]:
    """All lines of a scheme, bottom layer first; what both drawing programs draw."""
    lines = []
    for layer, part in enumerate(scheme.parts):
        if len(part.indices) == 1:
            point, arm = part.indices[0], line_thickness
            lines.append(Segment(layer, point, point, (-arm, 0), (arm, 0)))
            lines.append(Segment(layer, point, point, (0, -arm), (0, arm)))
            continue
        pairs = list(zip(part.indices[:-1], part.indices[1:], strict=True))
        if part.closed:
            pairs.append((part.indices[-1], part.indices[0]))
        lines += [Segment(layer, start, end) for start, end in pairs]
    return lines
