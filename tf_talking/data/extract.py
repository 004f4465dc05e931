"""One input in, one record or the reason why not out: detect, check, crop, encode each frame.

No TensorFlow, so that worker processes start quickly.
"""

import collections
import dataclasses
import logging
import pathlib
from collections.abc import Iterator

import numpy as np

from tf_talking.data import photos, video
from tf_talking.data.dataset_folder import ManifestEntry, rejected_entry
from tf_talking.data.inputs import InputItem
from tf_talking.data.records import VideoRecord, encode_jpeg
from tf_talking.landmarks import crop
from tf_talking.landmarks.detector import LandmarkDetector

OUTSIDE = "landmarks outside the frame"


@dataclasses.dataclass(frozen=True)
class ExtractSettings:
    """What a record is made of.

    Attributes:
        image_size: S, pixels.
        frame_step: of videos and frame folders, each such frame is used.
        max_frames: of an input, at most; 0: all.
        min_frames: of videos and frame folders, fewer usable ones reject them. Photos need 1.
        min_face: pixels, longer side of the landmarks' box in the original frame.
        jpeg_quality: 1 to 100.
    """

    image_size: int = 256
    frame_step: int = 1
    max_frames: int = 1000
    min_frames: int = 9
    min_face: int = 64
    jpeg_quality: int = 95


class _Frames:
    """Collects usable frames and counts the others."""

    def __init__(self, detector: LandmarkDetector, settings: ExtractSettings):
        self.detector, self.settings = detector, settings
        self.jpegs: list[bytes] = []
        self.landmarks: list[np.ndarray] = []
        self.rejected: collections.Counter[str] = collections.Counter()

    def add(self, frame: np.ndarray) -> None:
        reason = self._add(frame)
        if reason is not None:
            self.rejected[reason] += 1

    def _add(self, frame: np.ndarray) -> str | None:
        height, width = frame.shape[:2]
        least = self.settings.min_face
        if min(height, width) < least:
            return f"picture too small: {width}x{height} pixels, a face needs {least}"
        detection = self.detector.detect([frame])[0]
        if detection.landmarks is None:
            return detection.reason
        if crop.face_size(detection.landmarks) < least:
            return f"face too small: under {least} pixels"
        if crop.fraction_outside(detection.landmarks, width, height) > crop.OUTSIDE_TOLERANCE:
            return OUTSIDE
        image, landmarks = crop.crop_frame(frame, detection.landmarks, self.settings.image_size)
        self.jpegs.append(encode_jpeg(image, self.settings.jpeg_quality))
        self.landmarks.append(landmarks)
        return None

    @property
    def total(self) -> int:
        return len(self.jpegs) + self.rejected.total()

    def complaint(self, least: int) -> str | None:
        """Why these frames are not enough, None if they are."""
        if len(self.jpegs) >= max(least, 1):
            return None
        if not self.rejected:
            return f"too few frames: {len(self.jpegs)}, expected at least {least}"
        reason, count = self.rejected.most_common(1)[0]
        if not self.jpegs:
            return reason if self.total == 1 else f"{reason} ({count} of {self.total} frames)"
        return (
            f"too few usable frames: {len(self.jpegs)} of {self.total}, expected at least "
            f"{least}; most often: {reason}"
        )


def _read(item: InputItem, settings: ExtractSettings) -> Iterator[np.ndarray | str]:
    """Yields frames, and for an unreadable image the reason."""
    if item.kind == "video":
        for number, frame in enumerate(video.read_frames(item.files[0], threads=1)):
            if number % settings.frame_step == 0:
                yield frame
        return
    step = settings.frame_step if item.kind == "frames" else 1
    for file in item.files[::step]:
        try:
            yield photos.read_photo(file)
        except ValueError as error:
            yield _without_name(error, file)


def _without_name(error: ValueError, file: str) -> str:
    return str(error).removeprefix(f"{pathlib.Path(file)}: ")


def extract(
    item: InputItem, detector: LandmarkDetector, settings: ExtractSettings, on_frame=None
) -> VideoRecord | ManifestEntry:
    """Makes the record of one input.

    Args:
        item: what to read.
        detector: finds the landmarks; it is reset first. For photos, one that does not follow
            faces from frame to frame.
        settings: see there.
        on_frame: called without arguments after each frame.

    Returns:
        VideoRecord, or the ManifestEntry that says why there is none. Whatever goes wrong with one
        input ends up there: the next one is not affected.
    """
    frames = _Frames(detector, settings)
    try:
        detector.reset()
        for frame in _read(item, settings):
            if isinstance(frame, str):
                frames.rejected[frame] += 1
            else:
                frames.add(frame)
            if on_frame is not None:
                on_frame()
            if settings.max_frames and frames.total >= settings.max_frames:
                break
        complaint = frames.complaint(1 if item.kind == "photos" else settings.min_frames)
    except ValueError as error:
        complaint = _without_name(error, item.files[0])
    except Exception as error:  # a decoder's or a detector's own failure on this one input
        logging.getLogger(__name__).debug("%s", item.source, exc_info=True)
        complaint = f"{type(error).__name__}: {error}"
    rejected = dict(frames.rejected)
    if complaint is not None:
        return rejected_entry(item.source, item.video_id, item.identity, complaint, rejected)
    return VideoRecord(
        video_id=item.video_id,
        identity=item.identity,
        frames=frames.jpegs,
        landmarks=np.stack(frames.landmarks),
        image_size=settings.image_size,
        detector=detector.name,
        scheme=detector.scheme,
        source=item.source,
        rejected_frames=rejected,
    )
