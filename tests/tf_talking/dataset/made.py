"""Records and a dataset folder made up of almost nothing."""

import numpy as np

from tf_talking.dataset import records
from tf_talking.dataset.folder import rejected_entry
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.media import jpeg

SIZE = 16
JPEG = jpeg.encode(np.zeros((SIZE, SIZE, 3), np.uint8))
INFO = dict(image_size=SIZE, detector="mediapipe", scheme="ibug68", num_points=68)


def make_record(video_id: str, num_frames: int = 2, **changes) -> records.VideoRecord:
    """Black frames; every landmark's coordinates are the number of frames."""
    fields = dict(
        video_id=video_id,
        identity=f"person of {video_id}",
        frames=[JPEG] * num_frames,
        landmarks=np.full((num_frames, 68, 2), num_frames, np.float32),
        image_size=SIZE,
        detector="mediapipe",
        scheme="ibug68",
        source=f"in/{video_id}",
        rejected_frames={"no face": 1},
    )
    return records.VideoRecord(**(fields | changes))


def rejected(video_id: str, reason: str = "no face"):
    """The entry of an input that gave no record."""
    return rejected_entry(f"in/{video_id}", video_id, video_id, reason)


def write_folder(path, videos) -> None:
    """A dataset folder with two of the records a shard."""
    writer = DatasetWriter(path, **INFO)
    for first in range(0, len(videos), 2):
        writer.write_shard(videos[first : first + 2])
