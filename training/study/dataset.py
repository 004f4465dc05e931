"""Real frames of a user study from a dataset folder: identities are people, videos sequences."""

import pathlib
from collections import defaultdict
from collections.abc import Collection

import tqdm

from tf_talking.dataset.folder import DatasetFolder, ManifestEntry
from tf_talking.dataset.records import decode_frames
from tf_talking.spread import spread
from training.study.frames import real_folder, save_frames

SEQUENCES = 3  # a triplet comes from as many


def write_real_frames(
    dataset: str, frames: pathlib.Path, per_video: int, identities: Collection[str] = ()
) -> dict[str, int]:
    """Writes `per_video` frames, evenly spread, of each video of people who have three or more.

    Args:
      dataset: a dataset folder.
      frames: gets PERSON/real/VIDEO/frame_000007.png, the number being that of the record's frame.
      per_video: frames of each video at most.
      identities: whose; none given: everybody's.

    Returns:
      Person -> videos written.

    Raises:
      FileNotFoundError, ValueError: no sound dataset, an identity that it does not hold or that
        has too few videos, or nobody with enough.
    """
    folder = DatasetFolder.open(dataset)
    videos: dict[str, list[ManifestEntry]] = defaultdict(list)
    for entry in folder.accepted:
        videos[entry.identity].append(entry)
    for identity in identities:
        if len(videos[identity]) < SEQUENCES:
            raise ValueError(
                f"{dataset}: {len(videos[identity])} videos of {identity!r}, expected at least {SEQUENCES}"
            )
    chosen = {
        identity: found
        for identity, found in videos.items()
        if len(found) >= SEQUENCES and (not identities or identity in identities)
    }
    if not chosen:
        raise ValueError(f"{dataset}: nobody has {SEQUENCES} videos, which a triplet needs")
    work = [entry for found in chosen.values() for entry in found]
    for entry in tqdm.tqdm(work, unit="video", desc="real frames"):
        record = folder.read_video(entry.video_id)
        numbers = spread(record.num_frames, per_video)
        path = real_folder(frames, entry.identity, entry.video_id)
        save_frames(path, decode_frames(record, numbers), numbers)
    return {identity: len(found) for identity, found in chosen.items()}
