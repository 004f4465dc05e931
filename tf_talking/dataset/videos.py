"""Which videos of which folders episodes are sampled from, and where each one's record is."""

import os
from collections.abc import Collection, Iterable

import numpy as np
from absl import logging

from tf_talking.dataset import shards
from tf_talking.dataset.episode_reader import VideoTable
from tf_talking.dataset.folder import DatasetFolder, ManifestEntry
from tf_talking.dataset.records import PHOTOS, VIDEO

_SHORT_NAMED = 5  # videos named in the message about short ones
_NAMED_DAMAGE = 3  # shards described in the message about damage

Video = tuple[DatasetFolder, ManifestEntry]


def open_alike(paths: Iterable[str | os.PathLike]) -> list[DatasetFolder]:
    """Opens folders of one size, detector and scheme. Raises ValueError where they differ."""
    folders = [DatasetFolder.open(path) for path in paths]
    if not folders:
        raise ValueError("no dataset folder given")
    first = folders[0]
    for other in folders[1:]:
        if other.info != first.info:
            raise ValueError(
                f"dataset folders do not match: {first.path} has {first.info}, {other.path} has {other.info}"
            )
    return folders


def leave_out(videos: list[Video], people: Collection[str]) -> list[Video]:
    """The videos that show nobody of these. Raises ValueError where one of them is not there."""
    known = {entry.identity for _, entry in videos}
    unknown = sorted(set(people) - known)
    if unknown:
        raise ValueError(
            f"identities {unknown} are not in the data; there are {len(known)}, such as {sorted(known)[:5]}"
        )
    return [video for video in videos if video[1].identity not in people]


def long_enough(videos: list[Video], needed: int, skip_short: bool, copy_photos: bool = False) -> list[Video]:
    """The videos of at least `needed` = K+1 frames; of photos one is enough if `copy_photos`.

    Raises:
      ValueError: none is left, or there are shorter ones and `skip_short` is not set.
    """

    def is_short(entry: ManifestEntry) -> bool:
        return entry.num_frames < needed and not (copy_photos and entry.kind == PHOTOS)

    short = [entry for _, entry in videos if is_short(entry)]
    names = ", ".join(f"{e.video_id} ({e.num_frames})" for e in short[:_SHORT_NAMED])
    names += ", ..." if len(short) > _SHORT_NAMED else ""
    if short and not skip_short:
        raise ValueError(
            f"{len(short)} of {len(videos)} videos have fewer than K+1 = {needed} frames: {names}; "
            "take a smaller K or skip them (skip_short)"
        )
    if short:
        logging.warning("%d of %d videos skipped: fewer than %d frames (%s)", len(short), len(videos), needed, names)
    videos = [video for video in videos if not is_short(video[1])]
    if not videos:
        raise ValueError(f"no video with at least K+1 = {needed} frames is left to sample episodes from")
    return videos


def check_kinds(videos: list[Video], photo_share: float) -> None:
    """Raises ValueError where episodes of photos, or of videos, are wanted and there are none."""
    kinds = {entry.kind for _, entry in videos}
    missing = [kind for kind in (VIDEO, PHOTOS) if kind not in kinds]
    if photo_share and (PHOTOS in missing or (VIDEO in missing and photo_share < 1)):
        raise ValueError(f"config field train.photo_share: got {photo_share}, but the data holds no {missing[0]}")


def locate(videos: list[Video], skip_damage: bool) -> VideoTable:
    """Finds every video's record; what is damaged raises ShardError or is warned about."""
    folders = {id(folder): folder for folder, _ in videos}
    damage = {key: folder.find_damage() for key, folder in folders.items()}
    messages = [message for found in damage.values() for message in found.values()]
    shown = "; ".join(messages[:_NAMED_DAMAGE]) + ("; ..." if len(messages) > _NAMED_DAMAGE else "")
    if messages and not skip_damage:
        raise shards.ShardError(f"{len(messages)} damaged shard(s): {shown}")
    if messages:
        logging.warning("%d damaged shard(s), whose videos will be passed over: %s", len(messages), shown)
    locations = []
    for folder, entry in videos:
        if entry.offset is None and entry.shard in damage[id(folder)]:
            locations.append((entry.shard, -1))
        else:
            locations.append(folder.location(entry))
    names = sorted({shard for shard, _ in locations})
    numbers = {name: number for number, name in enumerate(names)}
    return VideoTable(
        shard_names=np.array(names, dtype=object),
        shard=np.array([numbers[shard] for shard, _ in locations], np.int32),
        offset=np.array([offset for _, offset in locations], np.int64),
        num_frames=np.array([entry.num_frames for _, entry in videos], np.int32),
        photos=np.array([entry.kind == PHOTOS for _, entry in videos]),
    )
