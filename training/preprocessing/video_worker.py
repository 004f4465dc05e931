"""The per-video function of preprocessing: the same on the local pool and on Apache Beam.

A worker makes its detectors when it first needs them and keeps them between inputs.
"""

import dataclasses
import os
import sys
import time
from collections.abc import Callable

from tf_talking.dataset.folder import ManifestEntry
from tf_talking.dataset.records import VideoRecord
from tf_talking.extraction.extract import ExtractSettings, extract
from tf_talking.extraction.item import InputItem
from tf_talking.landmarks.detector import LandmarkDetector
from tf_talking.landmarks.detectors import get_detector
from tf_talking.metrics.face_recognition import load_recogniser

# VoxCeleb2's development part: 145,520 videos, 2,360 hours at 25 frames a second.
VOXCELEB2_VIDEOS = 145_520
VOXCELEB2_FPS = 25
VOXCELEB2_FRAMES_PER_VIDEO = 2360 * 3600 * VOXCELEB2_FPS / VOXCELEB2_VIDEOS

# A detector's first frames are slow: a rate from fewer frames than this says little.
ROUGH_BELOW = 500


class VideoWorker:
    """Makes records of inputs, in one process.

    Attributes:
      seconds: spent on inputs so far; making detectors does not count.

    Args:
      detector_spec: arguments of `get_detector`, without `video`.
      settings: of `extract`.
    """

    def __init__(self, detector_spec: dict, settings: ExtractSettings):
        self._spec, self._settings = detector_spec, settings
        self._detectors: dict[bool, LandmarkDetector] = {}
        self.seconds = 0.0
        self._recogniser = None
        if settings.borrowed_identity != "none":
            self._recogniser = load_recogniser(settings.borrowed_identity)

    def __call__(self, item: InputItem, on_frame: Callable[[], None] = lambda: None) -> VideoRecord | ManifestEntry:
        """One input -> its record, or the rejected ManifestEntry; see `extract`."""
        follow = item.kind != "photos"
        if follow not in self._detectors:
            self._detectors[follow] = get_detector(video=follow, **self._spec)
        start = time.perf_counter()
        result = extract(item, self._detectors[follow], self._settings, on_frame, self._recogniser)
        self.seconds += time.perf_counter() - start
        return result

    def close(self) -> None:
        """Frees the detectors."""
        for detector in self._detectors.values():
            detector.close()
        self._detectors = {}


def quiet_single_threaded() -> None:
    """Prepares a worker process: one thread, and native libraries do not disturb the progress."""
    import cv2

    os.environ["OMP_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)
    # Native libraries log to descriptor 2 whenever they like; Python keeps its own.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


@dataclasses.dataclass(frozen=True)
class Throughput:
    """What a run measured.

    Attributes:
      frames: looked at.
      seconds: that `processes` processes needed.
      processes: None: unknown, decided by the runner.
    """

    frames: int
    seconds: float
    processes: int | None

    @property
    def rate(self) -> float:
        """Frames a second of all processes; 0 before the first frame."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def describe(self, settings: ExtractSettings) -> str:
        """A sentence with the rate, and what it means for VoxCeleb2 at these settings."""
        frames = VOXCELEB2_FRAMES_PER_VIDEO / settings.frame_step
        if settings.frames_per_second:
            frames = min(frames, VOXCELEB2_FRAMES_PER_VIDEO / VOXCELEB2_FPS * settings.frames_per_second)
        frames = round(min(frames, settings.max_frames or frames))
        where = "the workers of the job"
        if self.processes is not None:
            where = f"{self.processes} process{'es' if self.processes > 1 else ''}"
        text = f"{self.frames} frames, {self.rate:.1f} frames/s on {where}"
        if self.rate:
            hours = VOXCELEB2_VIDEOS * frames / self.rate / 3600
            text += (
                f"; VoxCeleb2 ({VOXCELEB2_VIDEOS:,} videos, at {frames:,} frames each as "
                f"configured) would take about {hours:,.0f} hours at this rate"
            )
            if self.frames < ROUGH_BELOW:
                text += f" (a rough figure, from fewer than {ROUGH_BELOW} frames)"
        return text
