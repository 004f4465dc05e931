"""face_alignment 1.5 (Bulat and Tzimiropoulos 2017): the paper's own detector, PyTorch.

Its face detector (S3FD) and its landmark network (2DFAN-4) are downloaded on first use into
`torch.hub.get_dir()`/checkpoints. Points that the frame cuts off are guessed near the edge.
"""

import os
import warnings
from collections.abc import Sequence

import numpy as np

from tf_talking.landmarks.detector import Detection, LandmarkDetector, check_frame, choose_face

LANDMARK_FILE = "2DFAN4-11f355bf06.pth.tar"


class FaceAlignmentDetector(LandmarkDetector):
    """68 points of every frame on its own (no tracking)."""

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
        """Args:
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
        if scheme != "ibug68":
            raise ValueError(f"scheme: got {scheme!r}, face_alignment gives only 'ibug68'")
        self.scheme = scheme
        options = dict(detector_options or {})
        if path_to_detector is not None:
            if not os.path.isfile(path_to_detector):
                raise ValueError(f"path_to_detector: there is no file {path_to_detector}")
            options["path_to_detector"] = os.fspath(path_to_detector)
        self._model = model or _load(device, face_detector, options)

    def detect(self, frames: Sequence[np.ndarray]) -> list[Detection]:
        return [self._detect(check_frame(frame)) for frame in frames]

    def _detect(self, frame: np.ndarray) -> Detection:
        with warnings.catch_warnings():
            # A frame without a face is an answer here and no warning.
            warnings.filterwarnings("ignore", message="No faces were detected")
            faces = self._model.get_landmarks_from_image(frame)
        # None without a face, else a list of float32 [68, 2].
        return choose_face([] if faces is None else faces)

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
