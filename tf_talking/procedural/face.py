"""Features of a procedural face: each function adds its groups of points to a `PointSet`."""

import numpy as np

from tf_talking.procedural.shape import EYE_LINE, JAW_DROP, NOSE_ROOT, SIDES, WIDEST, HeadShape, PointSet, smoothstep

_JAW_CANDIDATES = 13

# Columns of the skin's mesh, sine of the angle from the front; dense where the nose is.
_HALF_COLUMNS = (0.055, 0.11, 0.165, 0.23, 0.31, 0.41, 0.52, 0.64, 0.76, 0.86, 0.94, 0.985)
_MESH_SIDE = np.radians([90.0, 102.0, 118.0])


def add_eyes(points: PointSet, shape: HeadShape) -> None:
    """Groups eye_*, iris_*, pupil_*, crease_* for either side.

    eye: the six landmarks, image-left corner first: 36-41 and 42-47.
    """
    i = shape.identity
    half, height = 0.19 * i.eye_size, 0.088 * i.eye_open * i.eye_size
    for side, name in SIDES:
        x = half * np.array([-1, -0.36, 0.36, 1, 0.36, -0.36])
        y = height * np.array([0.05, -0.95, -0.95, 0.05, 0.62, 0.62])
        y += side * i.eye_tilt * np.array([1, 0.3, -0.3, -1, -0.3, 0.3])
        centre = np.array([side * shape.eye_x, EYE_LINE])
        outline = shape.on_skin(np.stack([x, y], -1) + centre)
        blink = np.zeros_like(outline)
        blink[[1, 2]] = 0.97 * (outline[[5, 4]] - outline[[1, 2]])
        motion = {f"blink_{name}": blink}
        points.add(f"eye_{name}", outline, **motion)
        crease = outline[:4] + np.array([0, -0.05, 0]) * np.array([0.2, 1, 1, 0.2])[:, None]
        points.add(f"crease_{name}", crease, **{f"blink_{name}": 0.35 * blink[:4]})
        eye_middle = outline.mean(0) + np.array([0, -0.01, 0.01])
        circle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        disc = np.stack([np.cos(circle), np.sin(circle), 0 * circle], -1)
        gaze = dict(gaze_x=np.array([0.055, 0, 0]), gaze_y=np.array([0, 0.022, 0]))
        radius = 0.088 * (0.6 + 0.4 * i.eye_size)
        points.add(f"iris_{name}", eye_middle + radius * disc, **gaze)
        points.add(f"pupil_{name}", eye_middle + 0.45 * radius * disc, **gaze)


def add_brows(points: PointSet, shape: HeadShape) -> None:
    """Groups brow_* [3, 5, 3]: upper edge, landmarks (17-21 and 22-26), lower edge."""
    i = shape.identity
    along = np.linspace(0, 1, 5)  # from the outer to the inner end
    x = shape.eye_x + 0.32 * i.width - along * 0.58
    arch = 0.075 * i.brow_arch * np.sin(np.pi * (0.15 + 0.75 * along))
    y = EYE_LINE - 0.25 + i.brow_height - arch + i.brow_tilt * (along - 0.5)
    half = i.brow_thickness * np.array([0.25, 0.75, 1.0, 1.0, 0.8])
    for side, name in SIDES:
        rows = [np.stack([side * x, y + offset], -1) for offset in (-half, 0 * half, half)]
        rows = np.stack(rows)[:, ::-side]
        points.add(f"brow_{name}", shape.on_skin(rows), brow=np.array([0, -0.09, 0.01]))


def add_nose(points: PointSet, shape: HeadShape) -> None:
    """Groups bridge [4] (27-30), nose_base [5] (31-35), nostril_*, wing_*."""
    i = shape.identity
    base = shape.nose_base
    y = np.linspace(NOSE_ROOT, base - 0.1, 4)
    points.add("bridge", shape.on_skin(np.stack([0 * y, y], -1)))
    x = 0.19 * i.nose_width * np.array([-1, -0.5, 0, 0.5, 1])
    dips = np.array([-0.035, 0.0, 0.025, 0.0, -0.035])
    points.add("nose_base", shape.on_skin(np.stack([x, base + dips], -1)))
    circle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    for side, name in SIDES:
        oval = np.stack([0.05 * i.nose_width * np.cos(circle), 0.02 * np.sin(circle)], -1)
        middle = np.array([side * 0.095 * i.nose_width, base - 0.012])
        points.add(f"nostril_{name}", shape.on_skin(oval + middle))
        outline = np.array([[0.155, -0.15], [0.2, -0.09], [0.205, -0.03], [0.16, 0.0]])
        outline = outline * [side * i.nose_width, 1] + [0, base]
        points.add(f"wing_{name}", shape.on_skin(outline))


def add_mouth(points: PointSet, shape: HeadShape) -> None:
    """Groups lips_outer [12] (48-59), lips_inner [8] (60-67)."""
    i = shape.identity
    half, thick = 0.36 * i.mouth_width * (0.5 + 0.5 * i.width), i.lip_thickness
    x_outer = half * np.array([-1, -0.62, -0.24, 0, 0.24, 0.62, 1, 0.64, 0.28, 0, -0.28, -0.64])
    up, low = 0.088 * thick, 0.105 * thick
    y_outer = np.array([0, -0.72, -1, -0.82, -1, -0.72, 0, 0.75, 1, 1.05, 1, 0.75])
    y_outer = y_outer * np.where(y_outer < 0, up, low)
    y_outer[[0, 6]] -= 0.015
    x_inner = half * np.array([-0.88, -0.34, 0, 0.34, 0.88, 0.34, 0, -0.34])
    y_inner = np.array([-0.012, -0.008, 0, -0.008, -0.012, 0.008, 0.012, 0.008])
    drop_outer = np.array([0.2, 0.0, -0.04, -0.04, -0.04, 0.0, 0.2, 0.75, 0.98, 1.02, 0.98, 0.75])
    drop_inner = np.array([0.2, -0.03, -0.04, -0.03, 0.2, 0.88, 0.98, 0.88])
    for name, x, y, drop in (
        ("lips_outer", x_outer, y_outer, drop_outer),
        ("lips_inner", x_inner, y_inner, drop_inner),
    ):
        skin = shape.on_skin(np.stack([x, y + shape.mouth_line], -1))
        skin[:, 2] += 0.02
        side = x / half
        opening = np.stack([-0.13 * x, JAW_DROP * drop, -0.07 * drop], -1)
        smile = np.stack([0.2 * x, 0.03 - 0.11 * side**2, -0.09 * side**2], -1)
        points.add(name, skin, mouth=opening, smile=smile)


def add_jaw(points: PointSet, shape: HeadShape) -> None:
    """Group jaw [17, candidates, 3]: for landmarks 0-16, points from the side towards the front.

    Where the head is turned, the landmark is the candidate on the visible outline, as annotators
    (and detectors) place it.
    """
    part = np.array([0.0, 0.19, 0.37, 0.54, 0.69, 0.815, 0.91, 0.97, 1.0])
    rows = -0.1 + part * (shape.chin + 0.1)
    y = np.concatenate([rows, rows[-2::-1]])
    side = np.array([-1] * 8 + [0] + [1] * 8)
    inward = np.radians(np.linspace(84, 30, _JAW_CANDIDATES))
    skin = shape.around(side[:, None] * inward, y[:, None] + 0 * inward)
    skin[8] = shape.around(np.zeros(_JAW_CANDIDATES), np.full(_JAW_CANDIDATES, y[8]))
    points.add("jaw", skin, mouth=shape.jaw_motion(skin))


def add_skin(points: PointSet, shape: HeadShape) -> None:
    """Group skin [rows, columns, 3]: the mesh of the head's front and sides; skull: its back."""
    upper = WIDEST + (shape.top - WIDEST) * np.cos(np.linspace(0, np.pi / 2, 10))[:-1]
    lower = WIDEST + (shape.chin - WIDEST) * np.sin(np.linspace(0, np.pi / 2, 15)[1:]) ** 0.9
    nose = shape.nose_base + np.array([-0.15, -0.07, 0.0, 0.06])
    y = np.sort(np.concatenate([upper, [WIDEST], lower, nose]))
    half = np.concatenate([np.arcsin(_HALF_COLUMNS), _MESH_SIDE])
    angle = np.concatenate([-half[::-1], [0], half])
    skin = shape.around(angle, y[:, None])
    front = np.abs(angle) < np.pi / 2
    skin[..., 2] += np.where(front, shape.bumps(skin[..., 0], skin[..., 1]), 0)
    if shape.identity.beard == "full":
        below = smoothstep(y, shape.mouth_line - 0.1, shape.mouth_line + 0.2)[:, None]
        off_mouth = 1 - np.exp(-((skin[..., 0] / 0.35) ** 2) - ((y[:, None] - shape.mouth_line) / 0.16) ** 2)
        away = skin - np.array([0, 0.3, 0.0])
        skin += 0.09 * (below * off_mouth)[..., None] * away
    points.add("skin", skin, mouth=shape.jaw_motion(skin))
    back = shape.around(np.radians(np.arange(130, 231, 20.0)), y[:, None])
    points.add("skull", back, mouth=0 * back)


def add_ears(points: PointSet, shape: HeadShape) -> None:
    """Groups ear_* and ear_inner_*: outlines; ear_lobe_*: one point."""
    circle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    size = shape.identity.ears
    for side, name in SIDES:
        root = shape.around(np.array(side * np.radians(92)), np.array(0.06)) - [side * 0.02, 0, 0.03]
        outward = np.array([side * 0.66, 0, -0.75])
        reach = 0.15 * size * (1 + np.cos(circle)) * (1 - 0.25 * np.sin(circle))
        height = 0.30 * np.sqrt(size) * np.sin(circle)
        up = np.array([-side * 0.05, 1, 0])
        ear = root + reach[:, None] * outward + height[:, None] * up
        points.add(f"ear_{name}", ear)
        middle = ear.mean(0)
        points.add(f"ear_inner_{name}", middle + 0.6 * (ear - middle))
        points.add(f"ear_lobe_{name}", ear[[5]] + [0, 0.03, 0.02])
