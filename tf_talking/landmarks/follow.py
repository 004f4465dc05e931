"""One face of several, followed from frame to frame."""

from collections.abc import Sequence

import numpy as np

from tf_talking.landmarks.detector import Detection, choose_face, comparable_faces

STARTS = ("largest", "left", "right")
ANOTHER_FACE = "another face"
_PATIENCE = 25  # frames: for so long a face that was among others is looked for where it was


class FollowedFace:
    """Chooses the face nearest to the one of the frame before.

    A face that comes in beside it, or takes its place while it is not found, is not mistaken for
    it. Where a single face jumps (a cut to another place), it is the one.

    Args:
      start: which face is the first: one of `STARTS` (left and right in the picture); None: the
        only one, so that several are refused until there is one.
    """

    def __init__(self, start: str | None = None):
        if start not in (None, *STARTS):
            raise ValueError(f"face: got {start!r}, expected one of {', '.join(STARTS)}")
        self._start = start
        self.reset()

    def reset(self) -> None:
        """Forgets earlier frames."""
        self._last: np.ndarray | None = None
        self._lost = 0  # frames since it was seen
        self._alone = _PATIENCE  # frames since several were

    def choose(self, faces: Sequence[np.ndarray]) -> Detection:
        """The face, or why there is none.

        Args:
          faces: landmarks float [P, 2] of each face of the next frame.
        """
        others = len(comparable_faces(faces))
        self._alone = 0 if others > 1 else self._alone + 1
        found = self._first(faces) if self._last is None else self._next(faces)
        if found.landmarks is not None:
            self._last, self._lost = found.landmarks, 0
            return found
        self._lost += 1
        if self._lost > _PATIENCE and others == 1:
            self._last = None
        return found

    def _first(self, faces: Sequence[np.ndarray]) -> Detection:
        if self._start in (None, "largest") or not len(faces):
            several = comparable_faces(faces)
            return choose_face(several[:1] if self._start else faces)
        faces = sorted(comparable_faces(faces), key=lambda face: _centre(face)[0])
        return choose_face(faces[:1] if self._start == "left" else faces[-1:])

    def _next(self, faces: Sequence[np.ndarray]) -> Detection:
        if not len(faces):
            return choose_face(faces)
        size = np.ptp(self._last, axis=0).max()
        distances = [np.linalg.norm(_centre(face) - _centre(self._last)) for face in faces]
        # A face found twice is found smaller the second time.
        unlike = [np.abs(np.ptp(face, axis=0).max() - size) for face in faces]
        nearest = int(np.argmin(np.add(distances, unlike)))
        if distances[nearest] <= size / 2:
            return choose_face([faces[nearest]])
        if self._alone >= _PATIENCE:
            return choose_face(faces)
        return Detection(None, ANOTHER_FACE)


def _centre(face: np.ndarray) -> np.ndarray:
    return (face.min(axis=0) + face.max(axis=0)) / 2
