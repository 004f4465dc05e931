"""Faces that are small in a large photo: a detector that sees all of it at once misses them."""

import itertools
from collections.abc import Iterator

import numpy as np

from tf_talking.landmarks.crop import face_size
from tf_talking.landmarks.detector import NO_FACE, Detection, LandmarkDetector, choose_face

# A face is found for certain from this part of a tile on. Tiles overlap by it, so that a face up to
# that size lies whole in one of them; larger ones were found among the larger tiles before.
_PART_OF_TILE = 1 / 3
_FOUND_FROM = 1 / 8  # mediapipe's is a tenth
_ROUND_FACE = 4  # side of the second look, times the face


def detect_in_photos(detector: LandmarkDetector, photos: list[np.ndarray], min_face: int) -> list[Detection]:
    """`detector.detect`, and a closer look at each photo in which it sees no face.

    The photo is searched in overlapping tiles of half its shorter side, then of a quarter, ...,
    as far as a face of `min_face` pixels needs it. What is found is looked at once more with the
    head in the middle: only what is a face there, too, is one.

    Args:
      detector: one that does not follow faces from frame to frame.
      photos: uint8 [H, W, 3] RGB, all of one size.
      min_face: pixels, the smallest face that is of use.
    """
    found = detector.detect(photos)
    return [
        _look_closer(detector, photo, min_face) if detection.reason == NO_FACE else detection
        for photo, detection in zip(photos, found, strict=True)
    ]


def _look_closer(detector: LandmarkDetector, photo: np.ndarray, min_face: int) -> Detection:
    for side in _tile_sides(photo, min_face):
        faces = []
        for x, y in _corners(photo, side):
            seen = detector.detect([photo[y : y + side, x : x + side]])[0]
            if seen.landmarks is not None:
                faces.append(seen.landmarks + np.array([x, y], np.float32))
            elif seen.reason != NO_FACE:
                return seen  # several of them
        faces = [face for face in (_second_look(detector, photo, face) for face in faces) if face is not None]
        if faces:
            return choose_face(_distinct(faces))
    return Detection(None, NO_FACE)


def _distinct(faces: list[np.ndarray]) -> list[np.ndarray]:
    """Each face once, though several tiles showed it."""
    kept: list[np.ndarray] = []
    for face in sorted(faces, key=face_size, reverse=True):
        centre = (face.min(axis=0) + face.max(axis=0)) / 2
        if not any(np.all((centre > other.min(axis=0)) & (centre < other.max(axis=0))) for other in kept):
            kept.append(face)
    return kept


def _tile_sides(photo: np.ndarray, min_face: int) -> Iterator[int]:
    short = min(photo.shape[:2])
    side = short // 2
    while side > 0:
        # The whole photo found faces from `_FOUND_FROM` of its side on; so did each size of tiles.
        if 2 * side * _FOUND_FROM <= min_face:
            return
        yield side
        side //= 2


def _corners(photo: np.ndarray, side: int) -> Iterator[tuple[int, int]]:
    height, width = photo.shape[:2]
    step = (1 - _PART_OF_TILE) * side

    def starts(length: int) -> list[int]:
        count = int(np.ceil((length - side) / step)) + 1
        return np.linspace(0, length - side, count).round().astype(int).tolist()

    return itertools.product(starts(width), starts(height))


def _second_look(detector: LandmarkDetector, photo: np.ndarray, face: np.ndarray) -> np.ndarray | None:
    height, width = photo.shape[:2]
    side = min(round(_ROUND_FACE * face_size(face)), height, width)
    corner = (face.min(axis=0) + face.max(axis=0)) / 2 - side / 2
    x, y = np.clip(corner.round(), 0, (width - side, height - side)).astype(int)
    seen = detector.detect([photo[y : y + side, x : x + side]])[0]
    return None if seen.landmarks is None else seen.landmarks + np.array([x, y], np.float32)
