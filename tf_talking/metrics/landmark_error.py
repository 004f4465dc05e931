"""How well a generated frame follows the landmarks that drive it.

The landmarks are detected again in the generated frame; the error is their mean distance from the
driving ones, divided by the distance of the outer corners of the eyes (the driving ones), as in
the iBUG benchmarks. The real frames are not used. A frame in which no face is found gives NaN,
which `measure` counts apart: a metric that left such frames out silently would praise them.
"""

import numpy as np

from tf_talking.landmarks.detector import LandmarkDetector
from tf_talking.metrics import registry

_OUTER_EYE_CORNERS = (36, 45)


def normalised_error(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Landmarks [N, 68, 2] twice -> float64 [N], parts of the distance between the eyes."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    left, right = (wanted[:, i] for i in _OUTER_EYE_CORNERS)
    distance = np.linalg.norm(found - wanted, axis=-1).mean(axis=1)
    between = np.linalg.norm(left - right, axis=-1)
    return np.divide(distance, between, out=np.full(len(wanted), np.nan), where=between > 0)


@registry.register("landmark_error", higher_is_better=False, needs=("detector", "landmarks"))
def landmark_error(real: np.ndarray, fake: np.ndarray, detector: LandmarkDetector, landmarks: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] -> float64 [N], NaN where no one face is found.

    Args:
      real: not used.
      fake: generated frames.
      detector: one for unrelated pictures, of the scheme of `landmarks`.
      landmarks: float [N, P, 2] in pixels, which drove the frames.

    Raises:
      ValueError: as many landmarks as frames were expected.
    """
    if len(landmarks) != len(fake):
        raise ValueError(f"landmark_error: got {len(landmarks)} landmarks for {len(fake)} frames")
    found = np.full(np.shape(landmarks), np.nan)
    for i, detection in enumerate(detector.detect(list(fake))):
        if detection.landmarks is not None:
            found[i] = detection.landmarks
    return normalised_error(found, landmarks)
