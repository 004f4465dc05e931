"""One painted person as a model of some config sees it: pictures for warm-up and measurements."""

import numpy as np

from tf_talking.config import Config
from tf_talking.landmarks.scheme import get_scheme
from tf_talking.procedural.motion import pose_track
from tf_talking.procedural.render import Identity, raw_size, render, render_raw

_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)


def sample_face(config: Config, whole_photo: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A painted person: uint8 [H, W, 3] and landmarks float32 [P, 2] in its pixels.

    Args:
      config: size of the crop, and scheme.
      whole_photo: the uncropped picture.
    """
    size = config.model.image_size
    identity, (pose,) = Identity.sample(0), pose_track((0, 0), 1)
    if whole_photo:
        photo, points = render_raw(identity, pose, raw_size(size))
    else:
        photo, points = render(identity, pose, size)
    return photo, in_scheme(points, config)


def sample_landmarks(config: Config, count: int) -> np.ndarray:
    """Landmarks of a painted person who turns and talks, float32 [count, P, 2] in the crop."""
    size, identity = config.model.image_size, Identity.sample(0)
    tracks = [render(identity, pose, size)[1] for pose in pose_track((0, 0), count)]
    return np.stack([in_scheme(points, config) for points in tracks])


def in_scheme(points: np.ndarray, config: Config) -> np.ndarray:
    """The painted face's 68 points [68, 2] as the config's scheme has them, float32 [P, 2]."""
    irises = [points[_RIGHT_EYE].mean(0), points[_LEFT_EYE].mean(0)]
    points = np.concatenate([points, irises])[: get_scheme(config.landmarks.scheme).num_points]
    return points.astype(np.float32)
