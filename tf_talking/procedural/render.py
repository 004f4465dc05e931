"""A renderer of talking heads: parametric people, smooth motion, exact landmarks. No TensorFlow.

The embedded data of the demo and the tests: thousands of different people (skin, hair, face shape,
brows, glasses, clothes, background, ...) whose heads turn, talk and blink. A head is built from
points in space (shape, face, hair), moved (motion), posed and projected (model) and painted
(canvas, body, paint), so that its 68 landmarks are known exactly. Raw frames are cropped as real
ones are. Everything is a function of seeds alone.

    identity = Identity.sample(7)
    frame, landmarks = render(identity, Pose(yaw=30), size=256)
    record = render_video(identity_seed=7, num_frames=24, size=64)
"""

import math

import cv2
import numpy as np

from tf_talking.dataset import records
from tf_talking.landmarks.crop import crop_frame
from tf_talking.media import jpeg
from tf_talking.procedural.canvas import background
from tf_talking.procedural.identity import Identity
from tf_talking.procedural.model import Pose, face_model
from tf_talking.procedural.motion import pose_track
from tf_talking.procedural.paint import paint_person

DETECTOR = "procedural"
SCHEME = "ibug68"
NUM_POINTS = 68

_RAW_PER_SIZE = 2.5  # side of the raw frame, in sides of the crop
_CANVAS = 320  # pixels; small frames are painted at least this large, then averaged down

__all__ = ["Identity", "Pose", "render", "render_raw", "render_video", "video_id"]


def raw_size(size: int) -> int:
    """Side in pixels of the raw frame that a crop of `size` pixels is taken from; even."""
    return 2 * math.ceil(_RAW_PER_SIZE * size / 2)


def render_raw(identity: Identity, pose: Pose, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Paints one uncropped frame.

    Args:
      side: of the square frame, pixels.

    Returns:
      (uint8 [side, side, 3] RGB, float32 [68, 2] landmarks in its pixels).
    """
    factor = max(2, math.ceil(_CANVAS / side)) if side < 480 else 1.5
    canvas_side = round(side * factor)
    model = face_model(identity)
    canvas = background(identity, canvas_side).copy()
    posed = model.posed(pose, canvas_side)
    paint_person(canvas, model, posed)
    frame = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return frame, (posed.landmarks() + 0.5) * np.float32(side / canvas_side) - 0.5


def render(identity: Identity, pose: Pose, size: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame, cropped as real data is.

    Returns:
      (uint8 [size, size, 3] RGB, float32 [68, 2] landmarks in pixels of the crop).
    """
    frame, landmarks = render_raw(identity, pose, raw_size(size))
    return crop_frame(frame, landmarks, size)


def video_id(identity_seed: int, track_seed: int = 0) -> str:
    """Unique for each pair of person and track."""
    return f"procedural_{identity_seed:06d}_{track_seed:03d}"


def render_video(identity_seed: int, num_frames: int, size: int, track_seed: int = 0) -> records.VideoRecord:
    """A video of person `identity_seed`; another track is another video of the same person.

    Args:
      num_frames: at 25 frames a second.
      size: of the cropped frames, pixels.
      track_seed: non-negative; which of the person's motions.
    """
    identity = Identity.sample(identity_seed)
    track = pose_track((identity_seed, track_seed), num_frames)
    rendered = [render(identity, pose, size) for pose in track]
    name = video_id(identity_seed, track_seed)
    return records.VideoRecord(
        video_id=name,
        identity=identity.name,
        frames=[jpeg.encode(frame) for frame, _ in rendered],
        landmarks=np.stack([landmarks for _, landmarks in rendered]).astype(np.float32),
        image_size=size,
        detector=DETECTOR,
        scheme=SCHEME,
        source=f"{DETECTOR}:{name}",
    )
