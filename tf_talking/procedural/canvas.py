"""What procedural people are painted on and with: canvas, light, background."""

import functools

import cv2
import numpy as np

from tf_talking.procedural.identity import Identity
from tf_talking.procedural.model import FaceModel, PosedFace

SHIFT = 4  # fractional bits of OpenCV's coordinates
_AMBIENT = 0.62  # brightness of what the light does not reach


class Canvas:
    """A picture uint8 [S, S, 3] to paint on; points are float pixels, centres at integers."""

    def __init__(self, image: np.ndarray):
        self.image = image

    def polygon(self, points: np.ndarray, colour) -> None:
        cv2.fillPoly(self.image, [fixed_point(points)], _tuple(colour), cv2.LINE_8, SHIFT)

    def convex(self, points: np.ndarray, colour) -> None:
        cv2.fillConvexPoly(self.image, fixed_point(points), _tuple(colour), cv2.LINE_8, SHIFT)

    def line(self, points: np.ndarray, colour, width: float, closed: bool = False) -> None:
        """Width in pixels, at least one."""
        cv2.polylines(
            self.image, [fixed_point(points)], closed, _tuple(colour), max(1, round(width)), cv2.LINE_AA, SHIFT
        )

    def circle(self, centre: np.ndarray, radius: float, colour) -> None:
        x, y = (np.asarray(centre[:2]) * (1 << SHIFT)).round().astype(int).tolist()
        radius = max(1, round(radius * (1 << SHIFT)))
        cv2.circle(self.image, (x, y), radius, _tuple(colour), -1, cv2.LINE_8, SHIFT)

    def inside(self, outline: np.ndarray, paint) -> None:
        """Calls paint(canvas, offset) and keeps only what it paints inside the outline.

        Points have to be shifted by `offset` for the part of the canvas that paint is given.
        """
        size = self.image.shape[0]
        low = np.clip(np.floor(outline.min(0)[:2]).astype(int) - 1, 0, size)
        high = np.clip(np.ceil(outline.max(0)[:2]).astype(int) + 2, 0, size)
        if (high <= low).any():
            return
        part = self.image[low[1] : high[1], low[0] : high[0]]
        layer = Canvas(part.copy())
        paint(layer, -low)
        mask = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(mask, [fixed_point(outline[:, :2] - low)], 255, cv2.LINE_8, SHIFT)
        cv2.copyTo(layer.image, mask, part)


def fixed_point(points: np.ndarray) -> np.ndarray:
    """OpenCV's coordinates with SHIFT fractional bits, int32 [..., 2]."""
    return np.rint(points[..., :2] * (1 << SHIFT)).astype(np.int32)


def _tuple(colour) -> tuple:
    return tuple(min(255.0, max(0.0, float(c))) for c in colour)


class Painter:
    """A person being painted: what the painters of body and head share.

    Attributes:
      canvas, model, posed: where, who, in which pose.
      unit: pixels of one head unit.
      skin_colour: of skin that faces us as the face does.
    """

    def __init__(self, canvas: Canvas, model: FaceModel, posed: PosedFace):
        self.canvas, self.model, self.posed = canvas, model, posed
        self.who: Identity = model.identity
        self.unit = posed.pixels
        self.light = np.asarray(self.who.light, np.float32)
        self.skin_colour = np.asarray(self.who.skin, np.float32) * self.shade([0, 0, 1])

    def shade(self, normal) -> np.ndarray:
        """Brightness of surfaces with these normals [..., 3] of the head at rest."""
        turned = np.asarray(normal, np.float32) @ self.posed.turn.T
        lambert = np.maximum(turned @ self.light, 0)
        return _AMBIENT + (1.06 - _AMBIENT) * lambert

    def faces_us(self, normal) -> bool:
        return float(self.posed.turn[2] @ np.asarray(normal, np.float32)) > 0


@functools.lru_cache(maxsize=16)
def background(identity: Identity, size: int) -> np.ndarray:
    """uint8 [size, size, 3], smooth: a tiny network has to reproduce it from an embedding."""
    rng = np.random.default_rng(np.random.SeedSequence([0xBAC4, identity.seed]))
    first, second = np.asarray(identity.background_colour), np.asarray(identity.background_colour_2)
    y, x = np.mgrid[0:24, 0:24] / 23.0
    share = np.zeros_like(x)
    if identity.background == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        share = 0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    elif identity.background == "shapes":
        for _ in range(rng.integers(1, 4)):
            cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, 0.8), rng.uniform(0.15, 0.35)
            share = np.maximum(share, np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / radius**2))
    picture = first + (second - first) * np.clip(share, 0, 1)[..., None]
    picture = picture * (1.03 - 0.12 * y[..., None])
    small = np.clip(picture, 0, 255).astype(np.uint8)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
