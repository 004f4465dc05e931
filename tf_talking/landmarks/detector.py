"""One interface for all landmark detectors: frames in, landmarks or a reason why not out."""

import abc
import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tf_talking.media import jpeg

NO_FACE = "no face"
SEVERAL_FACES = "several faces"
NO_FACE_IN_BOX = "no face in the given box"
# A second face smaller than this part of the largest is somebody in the background.
BACKGROUND_FACE = 1 / 3


@dataclasses.dataclass(frozen=True)
class Detection:
    """Landmarks of the one face of a frame, or why there are none; one of the two is None.

    Attributes:
      landmarks: float32 [P, 2], (x, y) in pixels of the frame, pixel centres at integers.
      reason: "no face", "several faces (2)".
    """

    landmarks: np.ndarray | None
    reason: str | None = None


class DetectorFailure(RuntimeError):
    """The detector itself can not work (its memory ran out, ...): no fault of the frames."""


class LandmarkDetector(abc.ABC):
    """Finds the landmarks of the one face of each frame.

    A detector may follow the face from frame to frame: frames are passed in order, and `reset` is
    called between videos. Use as a context manager, or call `close`. Frames may be passed many at
    a time; a detector on a GPU is faster so.

    Attributes:
      name: as records and models name it.
      scheme: which points it returns ("ibug68", "ibug68_gaze").
      choose: landmarks of each face of a frame -> which is meant, where no box says it; by
        default the frame's one face (`choose_face`).
    """

    name: str
    scheme: str

    def __init__(self):
        self.choose: Callable[[Sequence[np.ndarray]], Detection] = choose_face

    @abc.abstractmethod
    def detect(self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None = None) -> list[Detection]:
        """Frames uint8 [H, W, 3] RGB, all of one size -> a Detection for each of them.

        Args:
          boxes: where the face is, (x, y, width, height) in pixels of each frame; other faces
            then do not count. None: `choose` says which.

        Raises:
          ValueError: a frame is not uint8 RGB.
          DetectorFailure: see there.
        """

    def _chosen(self, faces: Sequence[np.ndarray], box: np.ndarray | None) -> Detection:
        return self.choose(faces) if box is None else choose_face(faces, box)

    def reset(self) -> None:  # noqa: B027 (most detectors need not override it)
        """Forgets earlier frames; the next one is of another video."""

    def close(self) -> None:  # noqa: B027
        """Frees what the detector holds."""

    def __enter__(self) -> "LandmarkDetector":
        return self

    def __exit__(self, *error) -> None:
        self.close()


def choose_face(faces: Sequence[np.ndarray], box: np.ndarray | None = None) -> Detection:
    """The one face among those found: the largest, if there is no other of comparable size.

    A finding centred within the largest face is that face found twice (a wide open mouth can look
    like a face of its own).

    Args:
      faces: landmarks float [P, 2] of each face.
      box: (x, y, width, height): the face is the one centred nearest to the box's centre, and
        within the box.
    """
    if len(faces) == 0:
        return Detection(None, NO_FACE)
    if box is not None:
        return _face_in_box(faces, np.asarray(box, np.float32))
    largest, *others = comparable_faces(faces)
    if others:
        return Detection(None, f"{SEVERAL_FACES} ({1 + len(others)})")
    return Detection(np.asarray(largest, np.float32))


def comparable_faces(faces: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The largest of some faces, then those of comparable size; each face once."""
    if len(faces) == 0:
        return []
    sizes = [float(np.max(np.ptp(face, axis=0))) for face in faces]
    largest = faces[int(np.argmax(sizes))]
    low, high = largest.min(axis=0), largest.max(axis=0)
    found = [largest]
    for face, size in zip(faces, sizes, strict=True):
        centre = (face.min(axis=0) + face.max(axis=0)) / 2
        inside = bool(np.all((centre > low) & (centre < high)))
        if size >= BACKGROUND_FACE * max(sizes) and not inside:
            found.append(face)
    return found


def _face_in_box(faces: Sequence[np.ndarray], box: np.ndarray) -> Detection:
    middle, half = box[:2] + box[2:] / 2, box[2:] / 2
    centres = np.array([(face.min(axis=0) + face.max(axis=0)) / 2 for face in faces])
    nearest = int(np.argmin(np.linalg.norm(centres - middle, axis=1)))
    if np.any(np.abs(centres[nearest] - middle) > half):
        return Detection(None, NO_FACE_IN_BOX)
    return Detection(np.asarray(faces[nearest], np.float32))


def check_frame(frame: np.ndarray) -> np.ndarray:
    """Raises ValueError unless the frame is uint8 [H, W, 3]."""
    jpeg.check_rgb(frame)
    return np.ascontiguousarray(frame)
