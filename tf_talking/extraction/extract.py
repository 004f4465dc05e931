"""One input in, one record or the reason why not out: detect, check, crop, encode each frame.

A video may consist of several clips: each is read on its own, and one that fails is left out with
its reason while the others make the record. No TensorFlow, so that worker processes start quickly.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
from absl import logging

from tf_talking.dataset.folder import ManifestEntry, rejected_entry
from tf_talking.dataset.records import PHOTOS, VIDEO, VideoRecord
from tf_talking.extraction import content
from tf_talking.extraction.clips import ReadFrame, open_clips, without_name
from tf_talking.extraction.item import InputItem
from tf_talking.files import readable
from tf_talking.landmarks import crop
from tf_talking.landmarks.detector import Detection, DetectorFailure, LandmarkDetector
from tf_talking.landmarks.search import detect_in_photos
from tf_talking.media import jpeg


@dataclasses.dataclass(frozen=True)
class ExtractSettings:
    """What a record is made of.

    Attributes:
      image_size: S, pixels.
      frame_step: of videos and frame folders, each such frame is used.
      frames_per_second: of videos, the first frame of each such part of a second; 0: all.
      max_frames: looked at in an input, at most, spread over its length, an equal share in each
        clip (what a shorter clip lacks goes to the longer ones); 0: all.
      min_frames: of videos and frame folders, fewer usable ones reject them. Photos need 1.
      min_face: pixels, longer side of the landmarks' box in the original frame.
      detection_batch: frames that the detector gets at once.
      borrowed_identity: the recogniser whose embeddings are stored beside the frames, or "none".
    """

    image_size: int = 256
    frame_step: int = 1
    frames_per_second: float = 0.0
    max_frames: int = 1000
    min_frames: int = 9
    min_face: int = 64
    detection_batch: int = 1
    borrowed_identity: str = "none"


class _Frames:
    """Collects the usable frames of one clip, or photos, and counts the others."""

    def __init__(self, settings: ExtractSettings, photos: bool):
        self.settings, self.photos = settings, photos
        self.jpegs: list[bytes] = []
        self.landmarks: list[np.ndarray] = []
        self.rejected: collections.Counter[str] = collections.Counter()

    def read_all(self, reads: Iterator[ReadFrame | str], detector: LandmarkDetector, on_frame) -> None:
        """Takes frames, and reasons for unreadable ones, in batches of frames of one size."""
        batch: list[ReadFrame] = []
        for read in reads:
            if isinstance(read, str):
                self.rejected[read] += 1
                on_frame()
                continue
            full = len(batch) == self.settings.detection_batch
            if full or (batch and batch[0].frame.shape != read.frame.shape):
                self._take(batch, detector, on_frame)
                batch = []
            batch.append(read)
        self._take(batch, detector, on_frame)

    def _take(self, batch: list[ReadFrame], detector: LandmarkDetector, on_frame) -> None:
        if not batch:
            return
        height, width = batch[0].frame.shape[:2]
        small = crop.too_small(width, height, self.settings.min_face)
        if small is not None:
            self.rejected[small] += len(batch)
        else:
            for read, detection in zip(batch, self._detect(batch, detector), strict=True):
                self._add(read.frame, detection)
        for _ in batch:
            on_frame()

    def _detect(self, batch: list[ReadFrame], detector: LandmarkDetector) -> list[Detection]:
        frames, boxes = [read.frame for read in batch], [read.box for read in batch]
        if self.photos:
            return detect_in_photos(detector, frames, self.settings.min_face)
        return detector.detect(frames) if boxes[0] is None else detector.detect(frames, boxes)

    def _add(self, frame: np.ndarray, detection: Detection) -> None:
        found = crop.crop_face(frame, detection, self.settings.image_size, self.settings.min_face)
        if isinstance(found, str):
            self.rejected[found] += 1
        else:
            self.jpegs.append(jpeg.encode(found[0]))
            self.landmarks.append(found[1])

    def extend(self, other: "_Frames") -> None:
        self.jpegs += other.jpegs
        self.landmarks += other.landmarks
        self.rejected += other.rejected

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
            f"too few usable frames: {len(self.jpegs)} of {self.total}, expected at least {least}; most often: {reason}"
        )


def _size(file: str) -> int:
    return os.path.getsize(file) if os.path.isfile(file) else 0


def _do_clip(open_clip, file, detector, frames: _Frames, most: int | None, on_frame) -> _Frames | str:
    """`frames` with those of one clip, or why there are none."""
    try:
        detector.reset()
        frames.read_all(open_clip(most), detector, on_frame)
    except DetectorFailure:
        raise
    except ValueError as error:
        return without_name(error, file)
    except Exception as error:  # a decoder's or a detector's own failure on this one clip
        logging.debug("%s", file, exc_info=True)
        return f"{type(error).__name__}: {error}"
    return frames


def _do_clips(item: InputItem, detector, settings: ExtractSettings, on_frame) -> dict:
    """File of each clip, in order -> its frames, or why there are none."""
    clips = open_clips(item, settings.frame_step, settings.frames_per_second)
    results: dict[str, _Frames | str] = {}
    left = settings.max_frames
    # Small files first: what they lack of their share is there for the longer ones.
    for file in sorted(clips, key=_size):
        share = -(-left // (len(clips) - len(results))) if settings.max_frames else None
        empty = _Frames(settings, item.kind == "photos")
        results[file] = _do_clip(clips[file], file, detector, empty, share, on_frame)
        if settings.max_frames and isinstance(results[file], _Frames):
            left -= results[file].total
    return {file: results[file] for file in clips}


def extract(
    item: InputItem,
    detector: LandmarkDetector,
    settings: ExtractSettings,
    on_frame: Callable[[], None] = lambda: None,
    recogniser: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> VideoRecord | ManifestEntry:
    """Makes the record of one input.

    Args:
      item: what to read.
      detector: finds the landmarks; it is reset first. For photos, one that does not follow
        faces from frame to frame.
      settings: see there.
      on_frame: called after each frame.
      recogniser: frames uint8 [N, S, S, 3] and landmarks [N, P, 2] → embeddings [N, I], which
        are stored beside the frames.

    Returns:
      VideoRecord, or the ManifestEntry that says why there is none. Whatever goes wrong with one
      input ends up there: the next one is not affected.

    Raises:
      DetectorFailure: the detector can not work at all.
    """
    noted = content.read_content(item)
    results = _do_clips(item, detector, settings, on_frame)
    frames, rejected_clips = _Frames(settings, item.kind == "photos"), {}
    for file, result in results.items():
        name = readable(pathlib.Path(file).name)
        if isinstance(result, str):
            rejected_clips[name] = result
            continue
        frames.extend(result)
        if item.kind == "clips" and not result.jpegs:
            rejected_clips[name] = result.complaint(1)
    complaint = frames.complaint(1 if item.kind == "photos" else settings.min_frames)
    if len(rejected_clips) == len(results):
        complaint = collections.Counter(rejected_clips.values()).most_common(1)[0][0]
        if len(results) > 1:
            complaint = f"none of {len(results)} clips is usable; most often: {complaint}"
    if item.kind != "clips":
        rejected_clips = {}
    rejected = dict(frames.rejected)
    if complaint is not None:
        return rejected_entry(item.source, item.video_id, item.identity, complaint, rejected, rejected_clips, noted)
    landmarks = np.stack(frames.landmarks)
    vectors = None
    if recogniser:
        stored = np.stack([jpeg.decode(frame) for frame in frames.jpegs])
        vectors = recogniser(stored, landmarks).astype(np.float32)
    return VideoRecord(
        video_id=item.video_id,
        identity=item.identity,
        frames=frames.jpegs,
        landmarks=landmarks,
        image_size=settings.image_size,
        detector=detector.name,
        scheme=detector.scheme,
        source=item.source,
        rejected_frames=rejected,
        rejected_clips=rejected_clips,
        kind=PHOTOS if item.kind == "photos" else VIDEO,
        identity_vectors=vectors,
        content=noted,
    )
