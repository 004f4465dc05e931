"""How a procedural person moves: head, mouth, lids, gaze."""

from collections.abc import Sequence

import numpy as np

from tf_talking.procedural.model import Pose

YAW_LIMIT, PITCH_LIMIT, ROLL_LIMIT = 40.0, 20.0, 20.0  # degrees


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
    return [Pose(**{name: float(column[frame]) for name, column in columns.items()}) for frame in range(num_frames)]


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
