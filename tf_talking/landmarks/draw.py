"""Landmark images with OpenCV: for clients and tests. Training and serving draw in the graph
(`rasterizer.py`), which gives the same pixels.

Rounding, decided here for both: a coordinate x becomes the pixel floor(x + 0.5), computed in
float64 (pixel centres are at whole numbers, halves go up, as in OpenCV's own fixed point), then is
limited to ±COORDINATE_LIMIT. A line with an end that is not finite is left out.
"""

import cv2
import numpy as np

from tf_talking.config import LandmarkConfig
from tf_talking.landmarks import scheme as scheme_lib

# Far outside any canvas, yet 16 fractional bits and a product of two still fit into a float64.
COORDINATE_LIMIT = 32767


def round_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """float [N, 2] pixels → float64 [N, 2] whole pixels; points that are not finite become NaN."""
    points = np.floor(np.asarray(landmarks, np.float64) + 0.5)
    points = np.where(np.isfinite(points).all(axis=-1, keepdims=True), points, np.nan)
    return np.clip(points, -COORDINATE_LIMIT, COORDINATE_LIMIT)


def draw_landmarks(
    landmarks: np.ndarray, image_size: int, scheme: str = "ibug68", line_thickness: int = 2, inner_lips: bool = False
) -> np.ndarray:
    """Draws one landmark image on a black canvas.

    Args:
      landmarks: float [N, 2], (x, y) in pixels of the S x S frame; may lie outside of it.
      image_size: S, pixels.
      scheme: name of a scheme of `scheme.py`, which fixes N.
      line_thickness: OpenCV's thickness, pixels.
      inner_lips: draw points 60-67 too.

    Returns:
      uint8 [S, S, 3], RGB.

    Raises:
      ValueError: unknown scheme, or a shape other than [N, 2].
    """
    definition = scheme_lib.get_scheme(scheme, inner_lips)
    points = round_landmarks(landmarks)
    if points.shape != (definition.num_points, 2):
        raise ValueError(
            f"landmarks: got shape {points.shape}, expected ({definition.num_points}, 2) for scheme {scheme!r}"
        )
    canvas = np.zeros((image_size, image_size, 3), np.uint8)
    for line in scheme_lib.segments(definition, line_thickness):
        start = points[line.start] + line.start_offset
        end = points[line.end] + line.end_offset
        if np.isnan(start).any() or np.isnan(end).any():
            continue
        colour = definition.parts[line.part].colour
        cv2.line(canvas, _pixel(start), _pixel(end), colour, line_thickness, lineType=cv2.LINE_8)
    return canvas


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def landmark_picture(drawing: LandmarkConfig, landmarks: np.ndarray, image_size: int) -> np.ndarray:
    """Landmarks as a config has them drawn, for people to look at.

    Args:
      drawing: e.g. `config.landmarks`.
      landmarks: float [P, 2] or [N, P, 2], in pixels of the S×S frame.
      image_size: S.

    Returns:
      uint8 RGB [S, S, 3] or [N, S, S, 3].
    """
    if np.ndim(landmarks) == 3:
        return np.stack([landmark_picture(drawing, points, image_size) for points in landmarks])
    return draw_landmarks(landmarks, image_size, drawing.scheme, drawing.line_thickness, drawing.inner_lips)


def drawing_of(card) -> LandmarkConfig:
    """How the generator that a person card belongs to has landmarks drawn."""
    return LandmarkConfig(
        detector=card.detector,
        scheme=card.scheme,
        line_thickness=int(card.extra.get("line_thickness", 2)),
        inner_lips=card.extra.get("inner_lips", "False") == "True",
    )
