"""A renderer of talking heads: parametric people, smooth motion, exact landmarks. No TensorFlow.

The embedded data of the demo and the tests: thousands of different people (skin, hair, face shape,
brows, glasses, clothes, background, ...) whose heads turn, talk and blink. A head is built from
points in space (`procedural_shape.py`, `_face.py`, `_hair.py`), posed and projected (`_model.py`)
and painted (`_canvas.py`, `_body.py`, `_paint.py`), so that its 68 landmarks are known exactly.
Raw frames are cropped as real ones are. Everything is a function of seeds alone.

    identity = Identity.sample(7)
    frame, landmarks = render(identity, Pose(yaw=30), size=256)
    record = render_video(identity_seed=7, num_frames=24, size=64)
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from tf_talking.dataset import records
from tf_talking.landmarks.crop import crop_frame
from tf_talking.media import jpeg
from tf_talking.procedural.canvas import background
from tf_talking.procedural.identity import Identity
from tf_talking.procedural.model import Pose, face_model
from tf_talking.procedural.paint import paint_person

DETECTOR = "procedural"
SCHEME = "ibug68"
NUM_POINTS = 68

_RAW_PER_SIZE = 2.5  # side of the raw frame, in sides of the crop
_CANVAS = 320  # pixels; small frames are painted at least this large, then averaged down

YAW_LIMIT, PITCH_LIMIT, ROLL_LIMIT = 40.0, 20.0, 20.0  # degrees

__all__ = ["Identity", "Pose", "pose_track", "render", "render_raw", "render_video", "video_id"]


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


def render_video(
    identity_seed: int, num_frames: int, size: int, track_seed: int = 0
) -> records.VideoRecord:
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


def pose_track(seed: int | Sequence[int], num_frames: int) -> list[Pose]:
    """Smooth motion of a talking person, 25 poses a second.

    A longer track of the same seed begins with the shorter one.

    Args:
        seed: non-negative number, or several of them.
        num_frames: at least 1.

    Raises:
        ValueError: the number of frames is not positive.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames: got {num_frames}, expected at least 1")
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    time = np.arange(num_frames, dtype=np.float64)

    def sway(amplitude, period, offset=0.0):
        """A slow swing (amplitude and period drawn from ranges) with a faster one on top."""
        slow, fast = rng.uniform(*amplitude), 0.22 * rng.uniform(*amplitude)
        slow_period = rng.uniform(*period)
        fast_period = slow_period * rng.uniform(0.3, 0.45)
        phases = rng.uniform(0, 2 * np.pi, 2)
        wave = slow * np.sin(2 * np.pi * time / slow_period + phases[0])
        wave += fast * np.sin(2 * np.pi * time / fast_period + phases[1])
        return wave + rng.uniform(-1, 1) * offset

    yaw = _limit(sway((26, 42), (40, 70), 8), YAW_LIMIT)
    pitch = _limit(sway((10, 20), (32, 64), 4), PITCH_LIMIT)
    roll = _limit(sway((10, 22), (40, 76), 4), ROLL_LIMIT)
    columns = dict(
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        mouth=_talking(rng, time),
        smile=np.clip(0.2 + sway((0.3, 0.7), (24, 60), 0.25), -0.7, 1),
        brow=np.clip(sway((0.2, 0.8), (16, 40), 0.2), -1, 1),
        # Eyes lag behind the head: they look back towards the camera.
        gaze_x=np.clip(-0.5 * yaw / YAW_LIMIT + sway((0.05, 0.2), (20, 50)), -1, 1),
        gaze_y=np.clip(0.5 * pitch / PITCH_LIMIT + sway((0.05, 0.2), (20, 50)), -1, 1),
        shift_x=sway((0.01, 0.03), (40, 90), 0.03),
        shift_y=sway((0.01, 0.02), (40, 90), 0.02),
        scale=1 + sway((0.01, 0.04), (40, 90), 0.06),
    )
    columns["blink_left"], columns["blink_right"] = _blinks(rng, num_frames)
    return [
        Pose(**{name: float(column[frame]) for name, column in columns.items()})
        for frame in range(num_frames)
    ]


def _limit(values: np.ndarray, limit: float) -> np.ndarray:
    return limit * np.tanh(values / limit)


def _talking(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Opening of a talking mouth, 0 to 1: syllables of 5 to 9 frames, with pauses."""
    period, wobble, phase = rng.uniform(5, 9), rng.uniform(15, 25), rng.uniform(0, 2 * np.pi, 3)
    syllables = 0.5 + 0.5 * np.sin(
        2 * np.pi * time / period + 1.5 * np.sin(2 * np.pi * time / wobble + phase[0]) + phase[1]
    )
    loudness = np.sin(2 * np.pi * time / rng.uniform(20, 36) + phase[2])
    return syllables * np.clip(0.6 + 0.75 * loudness, 0, 1) * rng.uniform(0.75, 1)


def _blinks(rng: np.random.Generator, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Both eyes' lids, 0 to 1; now and then a wink."""
    course = np.array([0.4, 0.95, 1.0, 0.7, 0.25])
    lids = np.zeros((2, num_frames + len(course)))
    start = int(rng.integers(2, 18))
    while start < num_frames:
        eyes = [0, 1] if rng.random() < 0.85 else [int(rng.integers(2))]
        for eye in eyes:
            lids[eye, start : start + len(course)] = course
        start += int(rng.integers(16, 45))
    return lids[0, :num_frames], lids[1, :num_frames]
