"""The crop around a face: square, framed by the landmarks of that frame.

The box is the square around the landmarks' bounding box of side b = max(width, height), its centre
moved up by b/6 to take in the hair, its half side b: twice the landmarks' extent. What lies outside
the frame is filled by repeating the edge pixels. Coordinates: pixel centres at integers, so a crop
of side s scaled to S maps x to (x - x0 + 0.5) * S / s - 0.5.
"""

import dataclasses

import cv2
import numpy as np

from tf_talking.landmarks.detector import Detection
from tf_talking.media import jpeg
from tf_talking.media.panels import scaled

UP_SHIFT = 1 / 6  # of the landmarks' box
SIDE = 2  # of the crop, times the landmarks' box
# How far a landmark may lie outside the frame, as a part of the landmarks' box. Detectors guess a
# chin or an ear that the frame cuts off; further out than this it is not the face any more.
OUTSIDE_TOLERANCE = 0.1
OUTSIDE = "landmarks outside the frame"


@dataclasses.dataclass(frozen=True)
class CropBox:
    """Pixels x0 <= x < x0 + side, likewise y; may reach over the frame's edge. Integers."""

    x0: int
    y0: int
    side: int


def _check_landmarks(landmarks: np.ndarray) -> np.ndarray:
    landmarks = np.asarray(landmarks, np.float32)
    if landmarks.ndim != 2 or landmarks.shape[1] != 2 or len(landmarks) == 0:
        raise ValueError(f"landmarks: got shape {landmarks.shape}, expected [N, 2]")
    if not np.isfinite(landmarks).all():
        raise ValueError("landmarks: not all of them are finite")
    return landmarks


def face_size(landmarks: np.ndarray) -> float:
    """The longer side of the landmarks' bounding box, pixels."""
    landmarks = _check_landmarks(landmarks)
    return float(np.max(landmarks.max(axis=0) - landmarks.min(axis=0)))


def fraction_outside(landmarks: np.ndarray, width: int, height: int) -> float:
    """Distance of the outermost landmark from a frame's edge, as a part of the face size.

    0 if all of them lie inside the frame.
    """
    landmarks = _check_landmarks(landmarks)
    beyond = max(float(-0.5 - landmarks.min()), float(np.max(landmarks - (width - 0.5, height - 0.5))), 0.0)
    return beyond / max(face_size(landmarks), 1e-6)


def too_small(width: int, height: int, min_face: int) -> str | None:
    """Why a picture of that many pixels can not hold a usable face, None where it can."""
    if min(width, height) >= min_face:
        return None
    return f"picture too small: {width}x{height} pixels, a face needs {min_face}"


def crop_face(
    frame: np.ndarray, detection: Detection, size: int, min_face: int = 0
) -> tuple[np.ndarray, np.ndarray] | str:
    """`crop_frame` of the face that was found, or why it can not be used.

    Args:
      frame: uint8 [H, W, 3].
      detection: in that frame.
      size: S, pixels.
      min_face: pixels, least longer side of the landmarks' box.
    """
    landmarks = detection.landmarks
    if landmarks is None:
        return detection.reason
    height, width = frame.shape[:2]
    if face_size(landmarks) < min_face:
        return f"face too small: under {min_face} pixels"
    if fraction_outside(landmarks, width, height) > OUTSIDE_TOLERANCE:
        return OUTSIDE
    try:
        return crop_frame(frame, landmarks, size)
    except ValueError as error:  # all landmarks in one place
        return str(error)


def crop_box(landmarks: np.ndarray) -> CropBox:
    """Landmarks float [N, 2] in pixels -> the box around the head.

    Raises:
      ValueError: landmarks are of another shape, not finite, or all in one place.
    """
    landmarks = _check_landmarks(landmarks)
    size = face_size(landmarks)
    if size < 1:
        raise ValueError(f"landmarks: they span {size:.2f} pixels, expected at least 1")
    centre = (landmarks.min(axis=0) + landmarks.max(axis=0)) / 2
    side = max(round(SIDE * size), 2)
    x0 = round(float(centre[0]) + 0.5 - side / 2)
    y0 = round(float(centre[1]) - UP_SHIFT * size + 0.5 - side / 2)
    return CropBox(x0, y0, side)


def cut_box(frame: np.ndarray, box: CropBox) -> np.ndarray:
    """Cuts `box` out of `frame` uint8 [H, W, 3], repeating the edge pixels beyond the frame.

    Raises:
      ValueError: box and frame have no pixel in common.
    """
    height, width = frame.shape[:2]
    x1, y1 = box.x0 + box.side, box.y0 + box.side
    if box.x0 >= width or box.y0 >= height or x1 <= 0 or y1 <= 0:
        raise ValueError(f"{box} lies outside the frame of {width}x{height} pixels")
    inside = frame[max(box.y0, 0) : min(y1, height), max(box.x0, 0) : min(x1, width)]
    top, bottom = max(-box.y0, 0), max(y1 - height, 0)
    left, right = max(-box.x0, 0), max(x1 - width, 0)
    if not (top or bottom or left or right):
        return inside
    return cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_REPLICATE)


def crop_frame(frame: np.ndarray, landmarks: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts the head out of a frame and scales it: cubic up, area down.

    Args:
      frame: uint8 [H, W, 3].
      landmarks: float [N, 2], pixels of the frame.
      size: S, pixels.

    Returns:
      (uint8 [S, S, 3], float32 [N, 2] in pixels of the crop).

    Raises:
      ValueError: the frame is not uint8 RGB, or the landmarks give no box in it.
    """
    jpeg.check_rgb(frame)
    box = crop_box(landmarks)
    image = scaled(cut_box(frame, box), size, size)
    moved = (np.asarray(landmarks, np.float32) - (box.x0, box.y0) + 0.5) * (size / box.side) - 0.5
    return image, moved.astype(np.float32)
