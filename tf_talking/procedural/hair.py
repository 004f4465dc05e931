"""Hair, hats, beards and glasses of a procedural person, as points of its `FaceModel`.

Hair is a shell around the skull: columns run from the crown down to the hairline, which a style
gives as a height for each direction (0: front, 90: ears, 180: back of the head).
"""

import numpy as np

from tf_talking.procedural.shape import EYE_LINE, PIVOT, SIDES, WIDEST, HeadShape, PointSet, smoothstep

COLUMNS, ROWS = 48, 8
EYE_HEIGHT = EYE_LINE + 0.02  # where glasses sit

_DIRECTIONS = (0, 25, 45, 62, 76, 88, 100, 115, 135, 180)  # degrees from the front
# Height (y) where the hair ends in each direction, and the thickness of the shell.
_HAIRLINES = {
    "buzz": ((-0.92, -0.9, -0.78, -0.62, -0.24, -0.12, -0.32, 0.1, 0.4, 0.5), 0.03),
    "short": ((-0.88, -0.86, -0.74, -0.58, -0.2, -0.05, -0.3, 0.15, 0.45, 0.55), 0.13),
    "quiff": ((-0.92, -0.9, -0.8, -0.6, -0.22, -0.1, -0.32, 0.1, 0.4, 0.5), 0.1),
    "parted": ((-0.86, -0.84, -0.7, -0.52, -0.15, 0.0, -0.3, 0.2, 0.5, 0.6), 0.12),
    "fringe": ((-0.52, -0.5, -0.5, -0.46, -0.2, -0.1, -0.3, 0.2, 0.5, 0.6), 0.13),
    "bob": ((-0.9, -0.86, -0.74, -0.5, 0.55, 0.95, 0.95, 0.95, 0.9, 0.85), 0.14),
    "long": ((-0.92, -0.88, -0.76, -0.5, 0.9, 1.75, 2.0, 2.1, 2.2, 2.2), 0.12),
    "tucked": ((-0.9, -0.86, -0.72, -0.52, -0.15, -0.1, -0.3, 1.6, 2.0, 2.1), 0.1),
    "bun": ((-0.92, -0.9, -0.8, -0.62, -0.2, -0.08, -0.3, 0.15, 0.4, 0.5), 0.05),
    "afro": ((-0.86, -0.82, -0.68, -0.5, -0.12, 0.1, 0.2, 0.4, 0.6, 0.65), 0.38),
}
_HAT_LINES = {
    "beanie": (-0.62, -0.62, -0.6, -0.56, -0.5, -0.42, -0.36, -0.2, 0.0, 0.05),
    "cap": (-0.7, -0.7, -0.68, -0.64, -0.6, -0.54, -0.5, -0.45, -0.4, -0.35),
}


def _hairline(angle: np.ndarray, heights: tuple) -> np.ndarray:
    return np.interp(np.degrees(np.abs(angle)), _DIRECTIONS, heights)


def _shell(shape: HeadShape, angle: np.ndarray, ends: np.ndarray, thickness: np.ndarray):
    """Points [ROWS, COLUMNS, 3] from the crown to heights `ends`, `thickness` above the skull."""
    dome = WIDEST - shape.top
    total = np.where(
        ends < WIDEST, dome * np.arccos(np.clip((WIDEST - ends) / dome, -1, 1)), dome * np.pi / 2 + ends - WIDEST
    )
    arc = np.linspace(0, 1, ROWS)[:, None] * total  # length along the column
    on_dome = np.minimum(arc / dome, np.pi / 2)
    hanging = np.maximum(arc - dome * np.pi / 2, 0)
    skull_y = WIDEST - dome * np.cos(on_dome)
    points = shape.around(angle, skull_y)
    outward = np.stack([np.sin(angle) * np.sin(on_dome), -np.cos(on_dome), np.cos(angle) * np.sin(on_dome)], -1)
    points = points + thickness[..., None] * outward
    points[..., 1] += hanging
    # Hanging hair falls straight down and a little inwards under the ears.
    behind = smoothstep(np.abs(angle), 2.0, 2.6)
    inwards = 0.1 * smoothstep(hanging, 0, 0.6) - 0.12 * smoothstep(hanging, 0.7, 2)
    points[..., 0] *= 1 - behind * inwards
    return points


def add_hair(points: PointSet, shape: HeadShape, rng: np.random.Generator) -> None:
    """Group hair [ROWS, COLUMNS + 1, 3] (the last column is the first), bun [1, 3]."""
    i = shape.identity
    style = i.hair_style
    if style == "bald":
        return
    heights, thickness = _HAIRLINES[style]
    angle = np.linspace(-np.pi, np.pi, COLUMNS + 1)
    ends = _hairline(angle, heights)
    strands = rng.normal(0, 1, COLUMNS + 1)
    strands[-1] = strands[0]
    rough = {"buzz": 0.0, "bun": 0.0, "afro": 0.03}.get(style, 0.025)
    ends = ends + rough * strands * (0.5 + (ends > 0.5))
    row = np.linspace(0, 1, ROWS)[:, None]
    thickness = thickness * i.hair_volume * (0.4 + 0.6 * np.sin(np.pi * np.minimum(row, 0.75)))
    thickness = thickness * np.ones_like(angle) * (0.45 if i.hat != "none" else 1)
    if style == "afro":
        thickness = thickness * (1 + 0.08 * np.sin(9 * angle + 5 * row) + 0.04 * strands)
    if style == "parted":
        # The parting: the hair on its far side sweeps higher and falls lower over the forehead.
        over = smoothstep(np.cos(angle - i.hair_side * 0.9), 0.2, 1.0)
        ends = ends + 0.2 * over
        thickness = thickness * (0.75 + 0.8 * over)
    front = smoothstep(np.cos(angle), 0.35, 0.9)
    if style == "quiff" and i.hat == "none":
        thickness = thickness + 0.22 * i.hair_volume * front * np.sin(np.pi * row**1.6) ** 0.7
    edge = 0.022 + 0.02 * (style in ("fringe", "afro"))
    thickness = np.where(ends < 0.2, thickness + (edge - thickness) * row**5, thickness)
    points.add("hair", _shell(shape, angle, ends, np.maximum(thickness, 0.02)))
    if style == "bun":
        points.add("bun", np.array([[0.0, shape.top - 0.12, -0.35]]))


def add_hat(points: PointSet, shape: HeadShape) -> None:
    """Groups hat [ROWS, COLUMNS + 1, 3] and, for a cap, visor [M, 3]."""
    i = shape.identity
    if i.hat == "none":
        return
    angle = np.linspace(-np.pi, np.pi, COLUMNS + 1)
    row = np.linspace(0, 1, ROWS)[:, None]
    thickness = 0.1 + 0.08 * (1 - row) + 0 * angle
    points.add("hat", _shell(shape, angle, _hairline(angle, _HAT_LINES[i.hat]), thickness))
    if i.hat == "cap":
        angle = np.radians(np.linspace(-62, 62, 15))
        root = shape.around(angle, np.full(15, -0.72), scale=1.08) + [0, 0, 0.02]
        rim = root[::-1] + np.stack([0 * angle, 0.16 * np.cos(1.3 * angle), 0.46 * np.cos(1.35 * angle)], -1)
        points.add("visor", np.concatenate([root, rim]))


def add_beard(points: PointSet, shape: HeadShape) -> None:
    """Groups moustache [M, 3] and goatee [M, 3]; a full beard is a colour of the skin's mesh."""
    i = shape.identity
    if i.beard in ("moustache", "full", "goatee"):
        across = np.linspace(-1, 1, 11)
        half = 0.33 * i.mouth_width
        middle = 0.55 * shape.nose_base + 0.45 * shape.mouth_line
        top = middle + 0.11 * np.abs(across) ** 1.5
        bottom = shape.mouth_line - 0.075 * i.lip_thickness + 0.09 * across**2
        outline = np.concatenate([np.stack([half * across, top], -1), np.stack([half * across, bottom], -1)[::-1]])
        skin = shape.on_skin(outline)
        skin[:, 2] += 0.02
        drop = np.array([0, 0.08, 0]) * np.abs(outline[:, :1] / half)
        wide = outline[:, :1] * np.array([0.15, 0, 0]) - np.array([0, 0.03, 0])
        points.add("moustache", skin, mouth=drop, smile=wide)
    if i.beard == "goatee":
        circle = np.linspace(0, 2 * np.pi, 18, endpoint=False)
        top = shape.mouth_line + 0.12 * i.lip_thickness + 0.06
        middle, half = (top + shape.chin) / 2, (shape.chin - top) / 2
        outline = np.stack([0.2 * np.cos(circle), middle + half * 0.95 * np.sin(circle)], -1)
        skin = shape.on_skin(outline) + [0, 0.02, 0.03]
        points.add("goatee", skin, mouth=shape.jaw_motion(skin) * 0 + [0, 0.3, -0.07])


def add_glasses(points: PointSet, shape: HeadShape) -> None:
    """Groups rim_* [M, 3], temple_* [2, 3], nose_piece [5, 3]."""
    i = shape.identity
    if i.glasses == "none":
        return
    front = shape.on_skin(np.array([[0.0, EYE_HEIGHT]]))[0, 2] + 0.06
    circle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    power = 1.0 if i.glasses == "round" else 0.5
    half = np.array([0.265, 0.225 if i.glasses == "round" else 0.19])

    def rounded(values):
        return np.sign(values) * np.abs(values) ** power

    for side, name in SIDES:
        x = side * max(shape.eye_x, 0.34) + half[0] * rounded(np.cos(circle))
        y = EYE_HEIGHT + half[1] * rounded(np.sin(circle))
        points.add(f"rim_{name}", np.stack([x, y, front - 0.3 * x**2], -1))
        hinge = [side * (max(shape.eye_x, 0.34) + half[0]), EYE_HEIGHT - 0.05]
        ear = shape.around(np.array(side * np.radians(93)), np.array(-0.2), scale=1.03)
        points.add(f"temple_{name}", np.array([[*hinge, front - 0.3 * hinge[0] ** 2], ear]))
    inner = max(shape.eye_x, 0.34) - half[0]
    across = np.linspace(-1, 1, 5)
    y = EYE_HEIGHT - 0.03 - 0.04 * (1 - across**2)
    points.add("nose_piece", np.stack([inner * across, y, front + 0.03 * (1 - across**2)], -1))


def add_freckles(points: PointSet, shape: HeadShape, rng: np.random.Generator) -> None:
    """Group freckles [F, 3] on cheeks and nose."""
    count = shape.identity.freckles
    if count:
        x, y = rng.normal(0, 0.42, count).clip(-0.75, 0.75), rng.normal(0.2, 0.13, count)
        skin = shape.on_skin(np.stack([x, y], -1))
        points.add("freckles", skin)


def add_neck(points: PointSet, shape: HeadShape) -> None:
    """Group neck_top [2, 3]: where the neck's sides leave the head."""
    x = 0.56 * shape.identity.width * shape.identity.shoulders
    points.add("neck_top", np.array([[-x, 0.45, -0.35], [x, 0.45, -0.35]]))
    points.add("pivot", PIVOT[None])
