"""MediaPipe Face Mesh (0.10.21): works offline, its networks come with the package.

It gives 478 points of a face mesh, 10 of them on the irises. Each iBUG point is the mesh vertex at
the same place of the face; the table was chosen by comparing the mesh with a 68-point network on
307 near-frontal frames of 101 clips: the mean places differ by 3.6 % of the distance between the
outer eye corners on average, by 10 % at most (a jaw point).

The jaw is the mesh's outline. On a strongly turned head its far side runs where the hidden edge of
the cheek is, inside the visible contour that 68-point networks follow.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from tf_talking.landmarks.detector import Detection, LandmarkDetector, check_frame

# fmt: off
MESH_TO_IBUG68 = (
    127, 234, 132, 58, 172, 136, 149, 148, 152,  # jaw, from the image-left ear to the chin
    377, 378, 365, 397, 288, 361, 454, 356,  # and on to the image-right ear
    70, 63, 105, 66, 107,  # image-left brow
    336, 296, 334, 293, 300,  # image-right brow
    168, 197, 5, 4,  # bridge of the nose
    240, 97, 2, 326, 460,  # nostrils
    33, 160, 158, 133, 153, 144,  # image-left eye
    362, 385, 387, 263, 373, 380,  # image-right eye
    61, 40, 37, 0, 267, 270, 291,  # outer lips, upper
    405, 314, 17, 84, 181,  # outer lips, lower
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
)
# fmt: on
MESH_IRISES = (468, 473)  # image-left (the person's right), image-right

SCHEMES = {"ibug68": MESH_TO_IBUG68, "ibug68_gaze": MESH_TO_IBUG68 + MESH_IRISES}

_MOST_FACES = 5  # more are not told apart


class MediapipeDetector(LandmarkDetector):
    """Face Mesh with refined eyes and lips. Finds faces from about a tenth of the frame on."""

    name = "mediapipe"

    def __init__(self, scheme: str = "ibug68", video: bool = True):
        """Loads the network.

        Args:
          scheme: "ibug68" or "ibug68_gaze".
          video: follow a face from frame to frame.

        Raises:
          ValueError: unknown scheme.
        """
        if scheme not in SCHEMES:
            raise ValueError(f"scheme: got {scheme!r}, mediapipe gives one of {sorted(SCHEMES)}")
        super().__init__()
        self.scheme = scheme
        self._indices = SCHEMES[scheme]
        self._fresh = True  # no face since the start or the last reset
        face_mesh = _import_mediapipe().solutions.face_mesh
        with silent_native_stderr():
            self._mesh = face_mesh.FaceMesh(
                static_image_mode=not video,
                max_num_faces=_MOST_FACES,
                refine_landmarks=True,
                min_detection_confidence=0.5,  # below it a face is not one
                min_tracking_confidence=0.5,  # below it a followed face is searched anew
            )
            self._start()

    def _start(self) -> None:
        """Runs the graph once on an empty picture: its threads log when they start."""
        self._mesh.process(np.zeros((64, 64, 3), np.uint8))

    def detect(self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None = None) -> list[Detection]:
        boxes = [None] * len(frames) if boxes is None else boxes
        return [self._chosen(self._faces(check_frame(frame)), box) for frame, box in zip(frames, boxes, strict=True)]

    def _faces(self, frame: np.ndarray) -> list[np.ndarray]:
        # The first face runs networks that have not run yet, and log.
        with silent_native_stderr() if self._fresh else contextlib.nullcontext():
            result = self._mesh.process(frame)
        if result.multi_face_landmarks:
            self._fresh = False
        scale = np.array([frame.shape[1], frame.shape[0]], np.float32)
        faces = []
        for face in result.multi_face_landmarks or ():
            points = face.landmark
            # Each access crosses into protobuf: only those that are needed.
            chosen = ((point.x, point.y) for point in map(points.__getitem__, self._indices))
            # 0..1 from edge to edge; ours has pixel centres at integers.
            faces.append(np.array(list(chosen), np.float32) * scale - 0.5)
        return faces

    def reset(self) -> None:
        if not self._fresh:  # else there is nothing to forget
            with silent_native_stderr():
                self._mesh.reset()
                self._start()
            self._fresh = True

    def close(self) -> None:
        if self._mesh is not None:
            self._mesh.close()
            self._mesh = None


def _import_mediapipe():
    """Imports mediapipe without TensorFlow.

    mediapipe imports TensorFlow, where it is installed, for a documentation decorator: seconds and
    hundreds of megabytes in every worker process. It does without where it is not installed.
    """
    hidden = "tensorflow" not in sys.modules
    if hidden:
        sys.modules["tensorflow"] = None
    try:
        with silent_native_stderr():
            import mediapipe
    finally:
        if hidden:
            del sys.modules["tensorflow"]
    return mediapipe


@contextlib.contextmanager
def silent_native_stderr() -> Iterator[None]:
    """Drops what native code writes to the process's stderr (file descriptor 2) in the block.

    The C++ logger below mediapipe can not be turned off from Python. Python's own messages of the
    same moment go with it, errors are exceptions and do not.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nothing)
