"""Paints a posed procedural head: what lies behind first, each part from its projected points.

Everything is drawn without anti-aliasing on a canvas several times the size of the frame, which is
then averaged down. The skin's shading is drawn as a mesh on a small canvas, blurred and enlarged:
smooth light at little cost.
"""

import cv2
import numpy as np

from tf_talking.procedural import shape as shapes
from tf_talking.procedural.body import BodyPainter
from tf_talking.procedural.canvas import SHIFT, Canvas, Painter, fixed_point
from tf_talking.procedural.model import FaceModel, PosedFace

_MESH_CANVAS = 112  # pixels, the small canvas of the skin's light

_ARC4, _ARC7 = shapes.catmull_rom(4, 5), shapes.catmull_rom(7, 4)
_ARC5, _INNER5 = shapes.catmull_rom(5, 4), shapes.catmull_rom(5, 4)
_COVERS_EARS = ("bob", "long", "afro")
_UPPER_LID, _LOWER_LID = [0, 1, 2, 3], [3, 4, 5, 0]


def paint_person(image: np.ndarray, model: FaceModel, posed: PosedFace) -> None:
    """Paints body and head over the background `image`, uint8 [S, S, 3], in place."""
    painter = HeadPainter(Canvas(image), model, posed)
    body = BodyPainter(painter.canvas, model, posed)
    body.body()
    painter.hair(front=False)
    body.neck()
    painter.ears(front=False)
    painter.skin()
    painter.nose()
    painter.mouth()
    painter.eyes()
    painter.brows()
    painter.temples()
    painter.hair(front=True)
    painter.ears(front=True)
    painter.glasses()
    painter.hat()


class HeadPainter(Painter):
    """Paints the parts of a head; `paint_person` knows their order."""

    def mesh(self, name: str, colours: np.ndarray, facing: bool, canvas: np.ndarray, ratio: float):
        """Draws the cells of a mesh that face us (or away), far ones first.

        Args:
          colours: [R - 1, C - 1, 3], 0 to 255.
          canvas: uint8 [T, T, 3], `ratio` times smaller than the picture.
        """
        grid = self.posed[name]
        corners = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], axis=2)
        a, b = corners[:, :, 2] - corners[:, :, 0], corners[:, :, 1] - corners[:, :, 3]
        towards = b[..., 0] * a[..., 1] - b[..., 1] * a[..., 0] > 0
        if name in self.model.outward:
            towards &= self.model.outward[name] @ self.posed.turn[2] > 0
        chosen = towards if facing else ~towards
        cells = corners[chosen]
        order = np.argsort(cells[..., 2].sum(1))
        xy = (cells[order, :, :2] + 0.5) * (1 / ratio) - 0.5
        fixed = np.rint(xy * (1 << SHIFT)).astype(np.int32)
        shades = np.clip(colours[chosen][order], 0, 255).tolist()
        for cell, colour in zip(fixed, shades, strict=True):
            cv2.fillConvexPoly(canvas, cell, colour, cv2.LINE_8, SHIFT)

    def skin(self) -> None:
        image, size = self.canvas.image, self.canvas.image.shape[0]
        normals = self.model.normals["skin"]
        bright = self.shade(normals)
        turned = normals @ self.posed.turn.T
        rim = 0.8 + 0.2 * np.clip(turned[..., 2] * 2.2, 0, 1)
        half = self.light + [0, 0, 1]
        gloss = np.clip(turned @ (half / np.linalg.norm(half)), 0, 1) ** 24 * 26
        colours = self.model.skin_colours * (bright * rim)[..., None] + gloss[..., None]
        small = np.empty((_MESH_CANVAS, _MESH_CANVAS, 3), np.uint8)
        small[:] = np.clip(np.asarray(self.who.skin) * 0.6, 0, 255)
        self.mesh("skin", colours, True, small, size / _MESH_CANVAS)
        small = cv2.GaussianBlur(small, (5, 5), 1.0)
        outline = np.concatenate([self.posed[n].reshape(-1, 3) for n in ("skin", "skull")])
        hull = cv2.convexHull(outline[:, :2].astype(np.float32))[:, 0]
        large = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
        mask = np.zeros((size, size), np.uint8)
        cv2.fillConvexPoly(mask, fixed_point(hull), 255, cv2.LINE_8, SHIFT)
        cv2.copyTo(large, mask, image)
        if "freckles" in self.posed:
            for point in self.posed["freckles"]:
                self.canvas.circle(point, 0.014 * self.unit, self.skin_colour * [0.72, 0.6, 0.55])
        if "goatee" in self.posed:
            self.canvas.polygon(self.posed["goatee"], self.beard_colour())

    def hair_colour(self) -> np.ndarray:
        return np.asarray(self.who.hair_colour) * self.shade([0, 0, 1])

    def beard_colour(self) -> np.ndarray:
        return np.asarray(self.who.brow_colour) * self.shade([0, 0, 1])

    def ears(self, front: bool) -> None:
        """The ear on the near side lies over the hair behind it, the other one behind the head."""
        if self.who.hair_style in _COVERS_EARS:
            return
        for side, name in shapes.SIDES:
            if self.faces_us([side, 0, 0.0]) != front:
                continue
            shade = self.shade([side * 0.6, 0, 0.8]) / self.shade([0, 0, 1]) * 0.94
            self.canvas.polygon(self.posed[f"ear_{name}"], self.skin_colour * shade)
            inner = self.skin_colour * shade * [0.84, 0.74, 0.72]
            self.canvas.polygon(self.posed[f"ear_inner_{name}"], inner)
            if self.who.earrings:
                lobe = self.posed[f"ear_lobe_{name}"][0]
                self.canvas.circle(lobe, 0.045 * self.unit, (226, 196, 110))

    def nose(self) -> None:
        dark = self.skin_colour * [0.45, 0.36, 0.34]
        for side, name in shapes.SIDES:
            if self.faces_us([side * 0.9, 0.15, 0.62]):
                wing = _ARC4 @ self.posed[f"wing_{name}"]
                self.canvas.line(wing, self.skin_colour * [0.74, 0.66, 0.64], 0.025 * self.unit)
            if self.faces_us([side * 0.75, 0.1, 0.66]):
                self.canvas.polygon(self.posed[f"nostril_{name}"], dark)
        under = _ARC5 @ self.posed["nose_base"]
        self.canvas.line(under[4:13], self.skin_colour * [0.72, 0.63, 0.61], 0.02 * self.unit)

    def mouth(self) -> None:
        outer, inner = self.posed["lips_outer"], self.posed["lips_inner"]
        upper, lower = _ARC7 @ outer[:7], _ARC7 @ outer[[6, 7, 8, 9, 10, 11, 0]]
        upper_in, lower_in = _INNER5 @ inner[:5], _INNER5 @ inner[[4, 5, 6, 7, 0]]
        shade = self.shade([0, 0, 1])
        lip = np.asarray(self.who.lip_colour) * shade
        # The moustache lies under the lip's edge, so that the lip's landmarks stay on a lip.
        if "moustache" in self.posed:
            self.canvas.polygon(self.posed["moustache"], self.beard_colour())
        self.canvas.polygon(np.concatenate([lower, upper]), lip)
        self.canvas.polygon(np.concatenate([upper, upper_in[::-1]]), lip * 0.86)
        opening = np.concatenate([upper_in, lower_in])
        gap = np.linalg.norm(inner[6, :2] - inner[2, :2])
        self.canvas.line(upper_in, lip * 0.45, 0.022 * self.unit)
        if gap < 0.03 * self.unit:
            return

        def paint(part: Canvas, offset: np.ndarray) -> None:
            part.image[:] = (58, 16, 20)
            tongue = lower_in[:, :2] * [0.8, 1] + [0.2 * lower_in[:, 0].mean(), 0]
            part.convex(tongue + offset - [0, 0.05 * self.unit], (172, 74, 78))
            down = self.posed.turn[:2, 1] * min(0.09 * self.unit, 0.5 * gap)
            bow = np.sin(np.linspace(0, np.pi, len(upper_in)))[:, None] ** 0.5
            teeth = np.concatenate([upper_in[:, :2], (upper_in[:, :2] + down * bow)[::-1]])
            part.polygon(teeth + offset, np.array([238, 232, 222]) * shade)

        self.canvas.inside(opening, paint)

    def eyes(self) -> None:
        white = np.array([242, 240, 236]) * (0.25 + 0.75 * self.shade([0, 0, 1]))
        for _, name in shapes.SIDES:
            eye = self.posed[f"eye_{name}"]
            upper, lower = _ARC4 @ eye[_UPPER_LID], _ARC4 @ eye[_LOWER_LID]
            outline = np.concatenate([upper, lower])
            iris, pupil = self.posed[f"iris_{name}"], self.posed[f"pupil_{name}"]
            self.canvas.line(
                _ARC4 @ self.posed[f"crease_{name}"], self.skin_colour * [0.76, 0.68, 0.66], 0.018 * self.unit
            )

            def paint(part, offset, iris=iris, pupil=pupil, upper=upper):
                part.image[:] = white
                part.convex(iris[:, :2] + offset, np.asarray(self.who.eye_colour) * 0.62)
                middle = iris[:, :2].mean(0)
                part.convex(0.84 * iris[:, :2] + 0.16 * middle + offset, self.who.eye_colour)
                part.convex(pupil[:, :2] + offset, (14, 11, 11))
                part.line(upper[:, :2] + offset, white * 0.62, 0.045 * self.unit)
                spark = middle + np.array([self.light[0] * 0.05, -0.035]) * self.unit
                part.circle(spark + offset, 0.02 * self.unit, (255, 255, 255))

            self.canvas.inside(outline, paint)
            lash = np.minimum(self.skin_colour * 0.4, [70, 50, 44])
            self.canvas.line(lower, self.skin_colour * [0.74, 0.62, 0.6], 0.014 * self.unit)
            self.canvas.line(upper, lash, 0.034 * self.unit)

    def brows(self) -> None:
        colour = np.asarray(self.who.brow_colour) * self.shade([0, 0, 1])
        for _, name in shapes.SIDES:
            top, _, bottom = self.posed[f"brow_{name}"]
            self.canvas.polygon(np.concatenate([_ARC5 @ top, (_ARC5 @ bottom)[::-1]]), colour)

    def hair(self, front: bool) -> None:
        if "bun" in self.posed and not front:
            ball = self.posed["bun"][0]
            self.canvas.circle(ball, 0.42 * self.unit, self.hair_colour() * 0.75)
            shine = ball + np.array([self.light[0], self.light[1], 0]) * 0.12 * self.unit
            self.canvas.circle(shine, 0.26 * self.unit, self.hair_colour() * 0.9)
        if "hair" in self.posed:
            colour = np.asarray(self.who.hair_colour, np.float32)
            self._shell("hair", colour, self.model.hair_tints, front)

    def hat(self) -> None:
        if "hat" not in self.posed:
            return
        colour = np.asarray(self.who.hat_colour, np.float32)
        bands = np.ones((self.posed["hat"].shape[0] - 1, 1), np.float32)
        bands[-2 if self.who.hat == "beanie" else -1 :] = 0.8
        self._shell("hat", colour, bands, True)
        if "visor" in self.posed:
            self.canvas.polygon(self.posed["visor"], colour * 0.62)

    def _shell(self, name: str, colour: np.ndarray, tints: np.ndarray, front: bool) -> None:
        normals = self.model.normals[name]
        turned = normals @ self.posed.turn.T
        half = self.light + [0, 0, 1]
        gloss = np.clip(turned @ (half / np.linalg.norm(half)), 0, 1) ** 10
        bright = self.shade(normals) * tints * (1.0 if front else 0.68)
        colours = colour * bright[..., None] + (0.0 if not front else 26.0) * gloss[..., None]
        self.mesh(name, colours, front, self.canvas.image, 1.0)

    def temples(self) -> None:
        """The bars of the glasses that run to the ears."""
        for side, name in shapes.SIDES:
            if f"temple_{name}" in self.posed and self.faces_us([side, 0, 0.1]):
                bar = self.posed[f"temple_{name}"]
                self.canvas.line(bar, self.who.glasses_colour, 0.05 * self.unit)

    def glasses(self) -> None:
        if self.who.glasses == "none":
            return
        colour = self.who.glasses_colour
        self.canvas.line(_ARC5 @ self.posed["nose_piece"], colour, 0.05 * self.unit)
        for _, name in shapes.SIDES:
            self.canvas.line(self.posed[f"rim_{name}"], colour, 0.045 * self.unit, closed=True)
