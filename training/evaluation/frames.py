"""Which videos are evaluated, and which of their frames are few-shot and which are hold-out frames.

Basics: a video is cut once. T few-shot frames are spread evenly over the part before the cut, its
last frame among them whatever T is, so that every T is as near in time to the hold-out frames; the
hold-out frames are taken from the part behind it, so that no hold-out frame stands between two
few-shot frames. The cut is in the middle, or as near to it as leaves the largest T before it and
all hold-out frames behind it. The hold-out frames are the same for every T, and every T is
evaluated on the same videos, so that rows of different T compare.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_talking.dataset.folder import DatasetFolder, ManifestEntry
from tf_talking.spread import spread
from training.runs.seen_people import read_training_facts

ORDERS = ("spread", "consecutive")
FEW_SHOT_FROM = ("same", "other")


@dataclasses.dataclass(frozen=True)
class VideoFrames:
    """Frame numbers of one video: `shots` T -> few-shot frames int [T], `holdout` int [H].

    `source` is the video that the few-shot frames are of; None: this one.
    """

    entry: ManifestEntry
    shots: dict[int, np.ndarray]
    holdout: np.ndarray
    source: ManifestEntry | None = None


def choose_frames(
    num_frames: int, shots: Sequence[int], holdout: int, order: str = "spread"
) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """(T -> few-shot frames, hold-out frames) of a video.

    Args:
      num_frames: of the video.
      shots: the T's.
      holdout: how many hold-out frames.
      order: "spread" evenly over the part behind the cut, or its first ones, "consecutive", which
        temporal metrics need.

    Raises:
      ValueError: the video is too short; says for what.
    """
    largest = max(shots)
    if num_frames < largest + holdout:
        raise ValueError(
            f"{num_frames} frames, expected at least {largest + holdout} (T = {largest} and {holdout} hold-out frames)"
        )
    cut = min(max(num_frames // 2, largest), num_frames - holdout)
    behind = spread(num_frames - cut, holdout) if order == "spread" else np.arange(holdout)
    return {t: spread(cut, t) if t > 1 else np.array([cut - 1]) for t in shots}, cut + behind


def held_out_entries(
    folder: DatasetFolder,
    identities: Sequence[str],
    video_ids: Sequence[str],
    max_videos: int,
    seed: int,
    checkpoint: str | None = None,
) -> list[ManifestEntry]:
    """The videos asked for, in the order of the dataset.

    Args:
      folder: the dataset.
      identities, video_ids: whose videos, and further videos by name.
      max_videos: where there are more, so many are drawn at random; 0: all.
      seed: of the draw.
      checkpoint: where nothing is asked for, the videos of the people whom its run kept out of
        training and who are in the dataset.

    Raises:
      ValueError: nothing was asked for, or an identity or a video is not in the dataset.
    """
    known = {field: {getattr(entry, field) for entry in folder.accepted} for field in ("identity", "video_id")}
    if not identities and not video_ids and checkpoint is not None:
        excluded = read_training_facts(checkpoint).get("excluded_identities", [])
        identities = [name for name in excluded if name in known["identity"]]
    if not identities and not video_ids:
        raise ValueError("no held-out videos: the run excluded nobody; expected identities or video_ids")
    for argument, field, wanted in (("identities", "identity", identities), ("video_ids", "video_id", video_ids)):
        missing = sorted(set(wanted) - known[field])
        if missing:
            raise ValueError(
                f"{argument}: {missing[0]!r} is not in {folder.path}; expected some of {sorted(known[field])[:5]} ..."
            )
    found = [
        entry for entry in folder.accepted if entry.identity in set(identities) or entry.video_id in set(video_ids)
    ]
    if max_videos and len(found) > max_videos:
        drawn = np.random.default_rng(seed).choice(len(found), max_videos, replace=False)
        found = [found[i] for i in sorted(drawn)]
    return found


def split_videos(
    entries: Sequence[ManifestEntry], shots: Sequence[int], holdout: int, order: str, few_shot_from: str = "same"
) -> tuple[list[VideoFrames], dict[str, str]]:
    """(videos that can be evaluated, the others' video_id -> why they are left out).

    Args:
      entries: the videos.
      shots, holdout, order: see `choose_frames`.
      few_shot_from: "same" video, as in the paper, or the person's "other" one among the entries
        that comes next: other clothes, light and background.

    Raises:
      ValueError: no video can be evaluated.
    """
    videos, left_out = [], {}
    for entry in entries:
        try:
            chosen, behind = choose_frames(entry.num_frames, shots, holdout, order)
            source = None
            if few_shot_from == "other":
                source = _next_video(entry, entries)
                chosen = {t: spread(source.num_frames, t) for t in shots}
        except ValueError as error:
            left_out[entry.video_id] = str(error)
        else:
            videos.append(VideoFrames(entry, chosen, behind, source))
    if not videos:
        first = next(iter(left_out))
        raise ValueError(
            f"none of {len(left_out)} videos can be evaluated; {first}: {left_out[first]}; take "
            "a smaller T or fewer hold-out frames, or other videos"
        )
    return videos, left_out


def _next_video(entry: ManifestEntry, entries: Sequence[ManifestEntry]) -> ManifestEntry:
    own = [other for other in entries if other.identity == entry.identity]
    if len(own) < 2:
        raise ValueError(f"no other video of {entry.identity} to take few-shot frames from")
    return own[(own.index(entry) + 1) % len(own)]
