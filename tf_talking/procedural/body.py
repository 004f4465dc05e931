"""Neck, shoulders and clothes of a procedural person. The body moves with the head, unturned."""

import numpy as np

from tf_talking.procedural import shape as shapes
from tf_talking.procedural.canvas import Canvas, Painter

_ARC5 = shapes.catmull_rom(5, 4)


class BodyPainter(Painter):
    """Paints what is below the head: first `body`, then (over long hair) `neck`."""

    def body(self) -> None:
        half = [[0.5, 0.68], [0.75, 0.8], [1.35, 0.98], [1.85, 1.22], [2.2, 1.9], [2.3, 7]]
        half = np.array(half)
        outline = np.concatenate([half, half[::-1] * [-1, 1]])
        first, second = (np.asarray(c) * 0.92 for c in (self.who.clothes_colour, self.who.clothes_colour_2))
        self.canvas.polygon(self._body_points(outline), first)

        def paint(part: Canvas, offset: np.ndarray) -> None:
            if self.who.pattern == "stripes":
                for y in (1.3, 1.95, 2.6, 3.25):
                    bar = [[-3, y], [3, y], [3, y + 0.34], [-3, y + 0.34]]
                    part.convex(self._body_points(bar) + offset, second)
            if self.who.pattern == "halves":
                cloth = [[-0.6, 0], [0.6, 0], [0.8, 7], [-0.8, 7]]
                part.convex(self._body_points(cloth) + offset, second)

        if self.who.pattern != "plain":
            self.canvas.inside(self._body_points(outline), paint)

    def neck(self) -> None:
        top = self.posed["neck_top"][:, :2]
        pivot = self.posed["pivot"][0, :2]
        base = pivot + np.array([[0.54, 1.0], [-0.54, 1.0]]) * [self._neck_width(), 1] * self.unit
        waist = pivot + np.array([[0.5, 0.6], [-0.5, 0.6]]) * [self._neck_width(), 1] * self.unit
        outline = np.array([top[0], top[1], waist[0], base[0], base[1], waist[1]])
        self.canvas.polygon(outline, self.skin_colour * 0.86)
        jaw = self.posed["jaw"][:, 0, :2]
        shadow = jaw[3:14] * [0.9, 1] + [0.1 * pivot[0], 0.2 * self.unit]
        self.canvas.inside(outline, lambda part, offset: part.polygon(shadow + offset, self.skin_colour * 0.66))
        self._collar()

    def _neck_width(self) -> float:
        return self.who.width * self.who.shoulders

    def _body_points(self, points) -> np.ndarray:
        """Points in head units from the neck's joint -> pixels; the body does not turn."""
        scale = np.array([self.who.shoulders, 1]) * self.unit
        return self.posed["pivot"][0, :2] + np.asarray(points) * scale

    def _collar(self) -> None:
        halves = self.who.pattern == "halves"
        first = np.asarray(self.who.clothes_colour_2 if halves else self.who.clothes_colour)
        if self.who.collar == "turtleneck":
            points = [[-0.6, 0.55], [0.6, 0.55], [0.68, 1.2], [-0.68, 1.2]]
            self.canvas.polygon(self._body_points(points), first * 0.85)
        elif self.who.collar == "crew":
            arc = [[-0.66, 0.7], [-0.45, 0.92], [0, 1.02], [0.45, 0.92], [0.66, 0.7]]
            arc = _ARC5 @ np.asarray(arc)
            cover = np.concatenate([arc, [[0.8, 1.3], [-0.8, 1.3]]])
            self.canvas.polygon(self._body_points(cover), first * 0.92)
            self.canvas.line(self._body_points(arc), first * 0.7, 0.08 * self.unit)
        elif self.who.collar == "v":
            cover = [[-0.66, 0.68], [0, 1.4], [0.66, 0.68], [0.8, 1.5], [-0.8, 1.5]]
            self.canvas.polygon(self._body_points(cover), first * 0.92)
            self.canvas.line(self._body_points(cover[:3]), first * 0.7, 0.07 * self.unit)
        else:
            for side in (-1, 1):
                flap = np.array([[0.58, 0.5], [0.02, 1.02], [0.42, 1.25], [0.78, 0.75]])
                self.canvas.polygon(self._body_points(flap * [side, 1]), np.minimum(first * 1.15 + 12, 255))
