"""The landmark detectors by name."""

from tf_talking.landmarks.detector import LandmarkDetector

DETECTORS = ("mediapipe", "face_alignment")


def get_detector(name: str, scheme: str = "ibug68", video: bool = True, **options) -> LandmarkDetector:
    """Makes a detector; its packages are imported only now.

    Args:
      name: one of `DETECTORS`.
      scheme: which points it shall return.
      video: frames come in the order of a video (faces may be followed), or are unrelated.
      options: of the detector's class.

    Raises:
      ValueError: unknown name, or a scheme that the detector can not give.
      RuntimeError: a network can not be downloaded.
    """
    if name == "mediapipe":
        from tf_talking.landmarks.mediapipe_detector import MediapipeDetector as Detector
    elif name == "face_alignment":
        from tf_talking.landmarks.face_alignment_detector import FaceAlignmentDetector as Detector
    else:
        raise ValueError(f"detector: got {name!r}, expected one of {', '.join(DETECTORS)}")
    return Detector(scheme=scheme, video=video, **options)
