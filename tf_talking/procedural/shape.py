"""The surface of a procedural person's head, and how its points are kept and moved.

Head coordinates: x to the image's right, y down, z towards the camera; the unit is half the width
of an average face, the origin lies between the ears. All points of a head (landmarks, outlines of
eyes, lips, brows, ..., the skin's mesh, the hair's shell) stand in one array, with how far each
expression of a pose moves each of them: posing a head is one weighted sum and one rotation.
"""

import dataclasses

import numpy as np

from tf_talking.procedural.identity import Identity

EXPRESSIONS = ("mouth", "smile", "blink_left", "blink_right", "brow", "gaze_x", "gaze_y")
SIDES = ((-1, "left"), (1, "right"))  # of the image

EYE_LINE = -0.15  # y
WIDEST = -0.1  # y of the widest row
JAW_DROP = 0.3
NOSE_ROOT = -0.12
PIVOT = np.array([0.0, 0.9, -0.4], np.float32)  # the neck's joint, which the head turns about


def catmull_rom(count: int, steps: int) -> np.ndarray:
    """Matrix [(count - 1) * steps + 1, count]: control points to a smooth curve through them.

    Control point k is row k * steps of the curve.
    """
    padded = np.zeros((count + 2, count))  # on either end one more, straight on
    padded[1:-1] = np.eye(count)
    padded[0, :2] = 2, -1
    padded[-1, -2:] = -1, 2
    t = np.arange(steps)[:, None] / steps
    rows = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        curve = 2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2
        rows.append((curve + (3 * b - a - 3 * c + d) * t**3) / 2)
    return np.concatenate([*rows, padded[-2:-1]]).astype(np.float32)


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((np.asarray(x) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


class HeadShape:
    """The surface of a head: half width and depth of each horizontal slice, and bumps on the front.

    A slice at height y is x = W sin a, z = C + D (cos a)^0.8, with a = 0 at the front.
    """

    def __init__(self, identity: Identity):
        self.identity = identity
        self.top = WIDEST - 1.34 * identity.crown
        self.chin = 1.22 * identity.chin
        self.nose_base = 0.45 * identity.nose_length
        self.mouth_line = 0.74 * (0.5 + 0.5 * identity.chin) + 0.25 * (self.nose_base - 0.45)
        self.eye_x = 0.40 * identity.eye_spacing * (0.4 + 0.6 * identity.width)

    def profile(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(half width W, centre C, depth to the front D, depth to the back) of slices."""
        y = np.asarray(y, np.float64)
        up = np.clip((WIDEST - y) / (WIDEST - self.top), 0, 1)
        down = np.clip((y - WIDEST) / (self.chin - WIDEST), 0, 1)
        skull = (1 - up**2.4) ** (1 / 2.1)
        jaw = (1 - down**self.identity.jaw) ** (1 / 1.6)
        centre = -0.12 + 0.52 * down**2
        front = np.where(y < WIDEST, 0.96 * skull, (0.84 - centre) * (1 - 0.45 * down**7))
        back = np.where(y < WIDEST, 1.12 * skull, 1.12 * (1 - smoothstep(down, 0.1, 0.75)))
        return self.identity.width * skull * jaw, centre, front, back

    def bumps(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What stands out of the slices (nose, brow ridge, cheeks, lips, chin) or lies deeper."""
        i = self.identity
        side = np.abs(x)

        def hill(cx, cy, rx, ry):
            return np.exp(-(((side - cx) / rx) ** 2) - ((y - cy) / ry) ** 2)

        tip = self.nose_base - 0.1
        rise = np.clip((y - NOSE_ROOT + 0.1) / (tip - NOSE_ROOT + 0.1), 0, 1) ** 1.1
        fall = 1 - smoothstep(y, tip, self.nose_base + 0.1)
        sharpness = (0.09 + 0.075 * rise) * i.nose_width
        nose = 0.40 * i.nose_height * rise * fall * np.exp(-((side / sharpness) ** 2))
        wings = 0.13 * hill(0.15 * i.nose_width, self.nose_base - 0.06, 0.08, 0.09)
        return (
            nose
            + wings
            - 0.10 * hill(self.eye_x, EYE_LINE + 0.02, 0.24, 0.14)
            + 0.05 * hill(self.eye_x, EYE_LINE - 0.28, 0.32, 0.1)
            + (0.03 + 0.06 * i.cheeks) * hill(0.56, 0.22, 0.25, 0.24)
            + 0.07 * hill(0, self.mouth_line, 0.34, 0.2)
            + 0.07 * hill(0, self.chin - 0.16, 0.22, 0.14)
        )

    def on_skin(self, points: np.ndarray) -> np.ndarray:
        """Front points [..., 2] (x, y) -> [..., 3] on the surface."""
        x, y = points[..., 0], points[..., 1]
        width, centre, front, _ = self.profile(y)
        sine = np.clip(x / np.maximum(width, 1e-3), -0.998, 0.998)
        z = centre + front * (1 - sine**2) ** 0.4 + self.bumps(x, y)
        return np.stack([x, y, z], axis=-1)

    def around(self, angle: np.ndarray, y: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Points [..., 3] on slices, any angle (0: front, ±pi/2: ears), without bumps."""
        width, centre, front, back = self.profile(y)
        cosine = np.cos(angle)
        depth = np.where(cosine > 0, front, back) * np.sign(cosine) * np.abs(cosine) ** 0.8
        return np.stack([scale * width * np.sin(angle), y + 0 * angle, centre + scale * depth], axis=-1)

    def jaw_motion(self, points: np.ndarray) -> np.ndarray:
        """How far opening the mouth moves skin points [..., 3]."""
        y = points[..., 1]
        weight = smoothstep(y, self.mouth_line - 0.05, self.mouth_line + 0.25)
        return weight[..., None] * np.array([0.0, JAW_DROP, -0.07])


@dataclasses.dataclass
class _Group:
    name: str
    points: np.ndarray
    motions: dict[str, np.ndarray]


class PointSet:
    """Collects named groups of points and how expressions move them."""

    def __init__(self):
        self._groups: list[_Group] = []

    def add(self, name: str, points: np.ndarray, **motions: np.ndarray) -> None:
        """Points [..., 3]; motions by the name of an expression, of a shape that broadcasts."""
        self._groups.append(_Group(name, np.asarray(points, np.float32), motions))

    def stack(self) -> tuple[np.ndarray, np.ndarray, dict[str, tuple[slice, tuple]]]:
        """(points [N, 3], motions [E, N, 3], {name: (slice of N, shape)})."""
        places, start = {}, 0
        points, motions = [], []
        for group in self._groups:
            count = group.points.size // 3
            places[group.name] = (slice(start, start + count), group.points.shape)
            start += count
            points.append(group.points.reshape(-1, 3))
            block = np.zeros((len(EXPRESSIONS), *group.points.shape), np.float32)
            for name, motion in group.motions.items():
                block[EXPRESSIONS.index(name)] = motion
            motions.append(block.reshape(len(EXPRESSIONS), -1, 3))
        return np.concatenate(points), np.concatenate(motions, axis=1), places
