"""A procedural person's head as one posable array of points, and the colours of the skin's mesh."""

import dataclasses
import functools

import numpy as np

from tf_talking.procedural import face, hair
from tf_talking.procedural import shape as shapes
from tf_talking.procedural.identity import Identity

# Coordinate ranges of a raw frame: how many head units its side measures at scale 1.
FRAME_UNITS = 6.2


@dataclasses.dataclass(frozen=True)
class Pose:
    """One moment of a talking head.

    Attributes:
      yaw: degrees, positive: the nose points to the image's right; up to 40.
      pitch: degrees, positive: looks up; up to 20.
      roll: degrees, positive: tilts clockwise in the image; up to 20.
      mouth: 0 closed to 1 wide open.
      smile: -1 (narrow, corners down) to 1 (wide, corners up).
      blink_left, blink_right: 0 open to 1 closed; the sides are those of the image.
      brow: -1 (lowered) to 1 (raised).
      gaze_x, gaze_y: -1 to 1, to the image's right and down.
      shift_x, shift_y: where the head is, in shares of the raw frame's side from its centre.
      scale: size relative to an average distance from the camera.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    mouth: float = 0.0
    smile: float = 0.0
    blink_left: float = 0.0
    blink_right: float = 0.0
    brow: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    scale: float = 1.0


def rotation(pose: Pose) -> np.ndarray:
    """float32 [3, 3]: turns by yaw, then pitch, then roll (image axes, y down, z to the camera)."""
    yaw, pitch, roll = np.radians([pose.yaw, pose.pitch, pose.roll])
    cos, sin = np.cos, np.sin
    turn = np.array([[cos(yaw), 0, sin(yaw)], [0, 1, 0], [-sin(yaw), 0, cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, cos(pitch), -sin(pitch)], [0, sin(pitch), cos(pitch)]])
    tilt = np.array([[cos(roll), -sin(roll), 0], [sin(roll), cos(roll), 0], [0, 0, 1]])
    return (tilt @ nod @ turn).astype(np.float32)


class PosedFace:
    """The points of a head in one pose, projected into a picture.

    `posed["lips_outer"]` has the group's shape [..., 3]: x and y in pixels, z in pixels too
    (towards the camera).
    """

    def __init__(self, points: np.ndarray, places: dict, turn: np.ndarray, pixels: float):
        self._points, self._places = points, places
        self.turn = turn
        self.pixels = pixels  # of one head unit

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> np.ndarray:
        place, shape = self._places[name]
        return self._points[place].reshape(shape)

    def landmarks(self) -> np.ndarray:
        """The 68 iBUG points, float32 [68, 2], pixels of the picture."""
        outward = np.sign(np.arange(17) - 8)[:, None] * (self["jaw"] @ self._image_right())
        visible = np.argmax(outward, axis=1)
        parts = [
            self["jaw"][np.arange(17), visible],
            self["brow_left"][1],
            self["brow_right"][1],
            self["bridge"],
            self["nose_base"],
            self["eye_left"],
            self["eye_right"],
            self["lips_outer"],
            self["lips_inner"],
        ]
        return np.concatenate(parts)[:, :2].astype(np.float32)

    def _image_right(self) -> np.ndarray:
        """Horizontal direction of the head's own, in the image: the roll alone turns it."""
        axis = np.array([self.turn[1, 1], -self.turn[0, 1], 0], np.float32)
        return axis / max(np.linalg.norm(axis), 1e-6)


class FaceModel:
    """All points of one person's head at rest, how expressions move them, and skin colours.

    Attributes:
      identity: whose.
      skin_colours: float32 [rows - 1, columns - 1, 3], of the mesh's quadrilaterals.
      normals: {mesh: unit normals at rest [R - 1, C - 1, 3] of its quadrilaterals}.
      outward: {mesh: directions at rest away from the skull's axis}; tells front from back
        where a mesh of hair is folded.
      hair_tints: float32 [ROWS - 1, COLUMNS], light and dark strands.
    """

    def __init__(self, identity: Identity):
        self.identity = identity
        rng = np.random.default_rng(np.random.SeedSequence([0x4A12, identity.seed]))
        points, shape = shapes.PointSet(), shapes.HeadShape(identity)
        for add in (
            face.add_skin,
            face.add_ears,
            face.add_jaw,
            face.add_eyes,
            face.add_brows,
            face.add_nose,
            face.add_mouth,
            hair.add_beard,
            hair.add_glasses,
            hair.add_hat,
            hair.add_neck,
        ):
            add(points, shape)
        hair.add_hair(points, shape, rng)
        hair.add_freckles(points, shape, rng)
        self._rest, self._motions, self._places = points.stack()
        self.shape = shape
        self.skin_colours = _skin_colours(identity, shape, self._at_rest("skin"))
        self.normals = {
            name: quad_normals(self._at_rest(name)) for name in ("skin", "hair", "hat") if name in self._places
        }
        self.outward = {name: _outward(self._at_rest(name)) for name in ("hair", "hat") if name in self._places}
        strands = rng.normal(0, 0.09, (1, hair.COLUMNS)) + rng.normal(0, 0.025, (hair.ROWS - 1, hair.COLUMNS))
        self.hair_tints = (1 + strands).astype(np.float32)

    def _at_rest(self, name: str) -> np.ndarray:
        place, shape = self._places[name]
        return self._rest[place].reshape(shape)

    def posed(self, pose: Pose, side: float) -> PosedFace:
        """The head in a square picture of `side` pixels (pixel centres at integers)."""
        amounts = np.array([getattr(pose, name) for name in shapes.EXPRESSIONS], np.float32)
        # Not a product of matrices: for so little work BLAS's threads only get in each other's way.
        points = self._rest + (amounts[:, None, None] * self._motions).sum(axis=0)
        turn = rotation(pose)
        pixels = side / FRAME_UNITS * pose.scale
        centre = side * np.array([0.5 + pose.shift_x, 0.49 + pose.shift_y]) - 0.5
        points = (points - shapes.PIVOT) @ turn.T + shapes.PIVOT
        points = points * np.float32(pixels)
        points[:, :2] += centre
        return PosedFace(points, self._places, turn, pixels)


def quad_normals(grid: np.ndarray) -> np.ndarray:
    """Unit normals [R - 1, C - 1, 3] of the cells of a mesh [R, C, 3], pointing outwards."""
    down = grid[1:, 1:] - grid[:-1, :-1]
    across = grid[:-1, 1:] - grid[1:, :-1]
    normals = np.cross(across, down)
    # Columns run from the image's left to its right over the front, rows downwards.
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return (normals / np.maximum(length, 1e-9)).astype(np.float32)


def _outward(grid: np.ndarray) -> np.ndarray:
    middle = (grid[1:, 1:] + grid[:-1, :-1] + grid[1:, :-1] + grid[:-1, 1:]) / 4
    axis = np.zeros_like(middle)
    axis[..., 1], axis[..., 2] = np.maximum(middle[..., 1], shapes.WIDEST), -0.12
    return middle - axis


def _skin_colours(identity: Identity, shape: shapes.HeadShape, grid: np.ndarray) -> np.ndarray:
    middle = (grid[1:, 1:] + grid[:-1, :-1] + grid[1:, :-1] + grid[:-1, 1:]) / 4
    x, y, z = np.moveaxis(middle, -1, 0)
    side = np.abs(x)
    skin = np.asarray(identity.skin)
    colours = np.broadcast_to(skin, (*x.shape, 3)).copy()

    def paint(colour, weight):
        nonlocal colours
        weight = np.clip(weight, 0, 1)[..., None]
        colours = colours * (1 - weight) + np.asarray(colour) * weight

    def hill(cx, cy, rx, ry):
        return np.exp(-(((side - cx) / rx) ** 2) - ((y - cy) / ry) ** 2)

    red = skin * [1.0, 0.72, 0.7]
    paint(red, (0.1 + 0.35 * identity.blush) * hill(0.5, 0.3, 0.24, 0.2))
    paint(red, (0.1 + 0.25 * identity.blush) * hill(0, shape.nose_base - 0.08, 0.16, 0.1))
    socket = hill(shape.eye_x, shapes.EYE_LINE + 0.02, 0.22, 0.12)
    paint(skin * [0.7, 0.62, 0.62], 0.4 * socket)
    fold = np.exp(-(((side - 0.33 - 0.25 * (y - 0.5)) / 0.05) ** 2) - ((y - 0.58) / 0.14) ** 2)
    paint(skin * 0.72, 0.5 * identity.wrinkles * fold)
    if identity.beard in ("full", "stubble"):
        outer = side / identity.width
        line = shape.mouth_line - 0.15 - 0.3 * shapes.smoothstep(outer, 0.55, 0.95)
        region = shapes.smoothstep(y, line, line + 0.14)
        sideburn = shapes.smoothstep(outer, 0.88, 0.96) * shapes.smoothstep(y, -0.3, -0.15)
        lips = (side / 0.34) ** 2 + ((y - shape.mouth_line) / 0.17) ** 2
        region = np.maximum(region, sideburn * (z > -0.5)) * (1 - 0.6 * np.exp(-(lips**2)))
        paint(identity.brow_colour, region * (0.93 if identity.beard == "full" else 0.28))
    if identity.hair_style == "buzz":
        paint(identity.hair_colour, 0.7 * shapes.smoothstep(-y, 0.8, 0.95))
    return colours.astype(np.float32)


@functools.lru_cache(maxsize=16)
def face_model(identity: Identity) -> FaceModel:
    """The model of a person, kept for the next frame."""
    return FaceModel(identity)
