"""face_alignment 1.5 (Bulat and Tzimiropoulos 2017): the paper's own detector, PyTorch.

Its face detector (S3FD) and its landmark network (2DFAN-4) are downloaded on first use into
`torch.hub.get_dir()`/checkpoints. Points that the frame cuts off are guessed near the edge.

Of frames passed together, the package finds the faces in one batch and then the landmarks of each
frame. When a GPU has no memory for a batch, it is halved, and stays so.
"""

import os
import sys
import warnings
from collections.abc import Sequence

import numpy as np

from tf_talking.landmarks.detector import Detection, DetectorFailure, LandmarkDetector, check_frame

LANDMARK_FILE = "2DFAN4-11f355bf06.pth.tar"


class FaceAlignmentDetector(LandmarkDetector):
    """68 points of every frame on its own (no tracking).

    Args:
      scheme: "ibug68"; this detector knows no irises.
      video: makes no difference here.
      device: PyTorch's name; None: "cuda" if there is one, else "cpu".
      face_detector: the package's name ("sfd", "blazeface", "retinaface", ...).
      path_to_detector: file of the face detector's network, instead of downloading it.
      detector_options: further `face_detector_kwargs`, such as `path_to_anchor`.
      model: a `face_alignment.FaceAlignment` made elsewhere, instead of all of these.

    Raises:
      ValueError: another scheme, or no such file.
      RuntimeError: a network could not be downloaded; the message says where to put it.
    """

    name = "face_alignment"

    def __init__(
        self,
        scheme: str = "ibug68",
        video: bool = True,
        device: str | None = None,
        face_detector: str = "sfd",
        path_to_detector: str | None = None,
        detector_options: dict | None = None,
        model=None,
    ):
        if scheme != "ibug68":
            raise ValueError(f"scheme: got {scheme!r}, face_alignment gives only 'ibug68'")
        super().__init__()
        self.scheme = scheme
        options = dict(detector_options or {})
        if path_to_detector is not None:
            if not os.path.isfile(path_to_detector):
                raise ValueError(f"path_to_detector: there is no file {path_to_detector}")
            options["path_to_detector"] = os.fspath(path_to_detector)
        self._model = model or _load(device, face_detector, options)
        self._most_at_once = sys.maxsize

    def detect(self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray] | None = None) -> list[Detection]:
        frames = [check_frame(frame) for frame in frames]
        faces: list[list[np.ndarray]] = []
        while len(faces) < len(frames):
            batch = frames[len(faces) :][: self._most_at_once]
            try:
                faces += self._faces(batch)
            except RuntimeError as error:  # torch.cuda.OutOfMemoryError is one
                if type(error).__name__ != "OutOfMemoryError":
                    raise
                self._shrink(len(batch), error)
        boxes = [None] * len(frames) if boxes is None else boxes
        return [self._chosen(found, box) for found, box in zip(faces, boxes, strict=True)]

    def _shrink(self, size: int, error: RuntimeError) -> None:
        if size == 1:
            raise DetectorFailure(
                f"face_alignment: the device's memory does not hold one frame ({error}); use fewer "
                "workers or detector_device cpu"
            ) from error
        self._most_at_once = size // 2

    def _faces(self, frames: list[np.ndarray]) -> list[list[np.ndarray]]:
        """Landmarks float32 [68, 2] of every face of each frame."""
        with warnings.catch_warnings():
            # A frame without a face is an answer here and no warning.
            warnings.filterwarnings("ignore", message="No faces were detected")
            if len(frames) == 1:
                # None without a face, else a list of float32 [68, 2].
                return [self._model.get_landmarks_from_image(frames[0]) or []]
            import torch

            batch = torch.from_numpy(np.stack(frames).transpose(0, 3, 1, 2))
            # For each frame, its faces below one another, float32 [faces * 68, 2], or [].
            found = self._model.get_landmarks_from_batch(batch)
        if found is None:
            return [[] for _ in frames]
        return [list(np.reshape(points, (-1, 68, 2))) for points in found]

    def close(self) -> None:
        self._model = None


def _load(device: str | None, face_detector: str, options: dict):
    import face_alignment
    import torch

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return face_alignment.FaceAlignment(
            face_alignment.LandmarksType.TWO_D,
            device=device,
            face_detector=face_detector,
            face_detector_kwargs=options or None,
            flip_input=False,
            # Compiling takes longer than most data sets on a CPU and needs a C++ compiler.
            compile=False,
        )
    except OSError as error:  # urllib's errors are OSErrors
        folder = os.path.join(torch.hub.get_dir(), "checkpoints")
        raise RuntimeError(
            f"face_alignment could not load or download its networks ({error}). Put its face "
            f"detector (for sfd: s3fd-619a316812.pth) and {LANDMARK_FILE} into {folder}, or use "
            "the mediapipe detector, which needs no download"
        ) from error
