"""Episodes for meta-learning: K source frames and one target frame of the same video.

Paper section 3.2: an episode is a video i, K frames s_1..s_K of it and another frame t. The n-th
episode since the start of training is a function of (seed, n) alone: which video follows from a
permutation of the videos drawn from (seed, epoch), which frames from (seed, n). Nothing has to be
replayed to resume at episode n, nothing is held in a shuffle buffer, and each video is read
straight from its place in its shard. Only the K+1 drawn frames are decoded. All of it is graph:
no Python runs in the pipeline's threads.
"""

import logging
import pathlib
import typing
from collections.abc import Collection, Sequence

import numpy as np
import tensorflow as tf

from tf_talking.data import dataset_folder, records, shards

_LOG = logging.getLogger(__name__)
_SHORT_NAMED = 5  # videos named in the message about short ones


class _Table(typing.NamedTuple):
    """Where each video is: one row a video, except the names of the shards."""

    shard_names: np.ndarray
    shard: np.ndarray  # index into the names
    offset: np.ndarray  # bytes
    num_frames: np.ndarray


class EpisodeDataset:
    """Endless, resumable stream of episode batches.

    Attributes:
        info: dataset_folder.DatasetInfo that all folders share.
        entries: the included videos; the index in this list is `video_index`.
        data_hash: str over the included videos, as long as one folder's.
    """

    def __init__(
        self,
        folders: str | pathlib.Path | Sequence[str | pathlib.Path],
        k_shot: int,
        batch_size: int,
        seed: int,
        exclude_identities: Collection[str] = (),
        include_identities: Collection[str] | None = None,
        skip_short: bool = False,
    ):
        """Opens the folders and checks every shard's length.

        Args:
            folders: one dataset folder or several of the same size, detector and scheme.
            k_shot: K, at least 1.
            batch_size: B, episodes in a batch.
            seed: non-negative, below 2^31.
            exclude_identities: people who are left out.
            include_identities: only these people (None: everybody).
            skip_short: leave out videos of fewer than K+1 frames instead of raising.

        Raises:
            ValueError: folders do not match, a named identity does not exist, a video is too
                short, or nothing is left.
            shards.ShardError: a shard is truncated.
        """
        if k_shot < 1 or batch_size < 1 or not 0 <= seed < 2**31:
            raise ValueError(
                f"got k_shot {k_shot}, batch_size {batch_size}, seed {seed}; expected at least 1, "
                "at least 1, and 0 to 2^31 - 1"
            )
        if isinstance(folders, str | pathlib.Path):
            folders = [folders]
        opened = [dataset_folder.DatasetFolder.open(folder) for folder in folders]
        if not opened:
            raise ValueError("no dataset folder given")
        _check_same_info(opened)
        self.info = opened[0].info
        self.data_hash = "+".join(folder.data_hash for folder in opened)
        self.k_shot, self.batch_size, self.seed = k_shot, batch_size, seed
        videos = [(folder, entry) for folder in opened for entry in folder.accepted]
        videos = _choose_people(videos, exclude_identities, include_identities)
        videos = self._long_enough(videos, skip_short)
        self.entries = [entry for _, entry in videos]
        locations = [folder.location(entry) for folder, entry in videos]
        names = sorted({shard for shard, _ in locations})
        numbers = {name: number for number, name in enumerate(names)}
        self._table = _Table(
            shard_names=np.array(names, dtype=object),
            shard=np.array([numbers[shard] for shard, _ in locations], np.int32),
            offset=np.array([offset for _, offset in locations], np.int64),
            num_frames=np.array([entry.num_frames for entry in self.entries], np.int32),
        )

    def _long_enough(self, videos: list, skip_short: bool) -> list:
        needed = self.k_shot + 1
        short = [entry for _, entry in videos if entry.num_frames < needed]
        names = ", ".join(f"{e.video_id} ({e.num_frames})" for e in short[:_SHORT_NAMED])
        if short and not skip_short:
            raise ValueError(
                f"{len(short)} of {len(videos)} videos have fewer than K+1 = {needed} frames: "
                f"{names}{', ...' if len(short) > _SHORT_NAMED else ''}; take a smaller K or skip "
                "them (skip_short)"
            )
        if short:
            _LOG.warning(
                "%d of %d videos skipped: fewer than %d frames (%s%s)",
                len(short),
                len(videos),
                needed,
                names,
                ", ..." if len(short) > _SHORT_NAMED else "",
            )
        videos = [video for video in videos if video[1].num_frames >= needed]
        if not videos:
            raise ValueError(
                f"no video with at least K+1 = {needed} frames is left to sample episodes from"
            )
        return videos

    @property
    def num_videos(self) -> int:
        """M: the number of rows of the discriminator's W."""
        return len(self.entries)

    def dataset(self, start: int = 0) -> tf.data.Dataset:
        """Endless batches from episode number `start` on (as many as were consumed before).

        Batches run across the ends of epochs; no episode is dropped.

        Yields dicts:
            source_frames uint8 [B, K, S, S, 3], source_landmarks float32 [B, K, P, 2],
            target_frame uint8 [B, S, S, 3], target_landmarks float32 [B, P, 2],
            video_index int32 [B].
        """
        if start < 0:
            raise ValueError(f"start: got {start}, expected the number of episodes consumed, >= 0")
        numbers = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
        episodes = numbers.map(
            self._episode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        return episodes.batch(self.batch_size, drop_remainder=True).prefetch(2)

    def _episode(self, number: tf.Tensor) -> dict[str, tf.Tensor]:
        """Episode `number` (int64 scalar): see `dataset`, without the batch dimension."""
        epoch, position = number // self.num_videos, number % self.num_videos
        seed = tf.constant(self.seed, tf.int64)
        last = tf.constant(self.num_videos - 1, tf.int64)
        video = tf.random.experimental.index_shuffle(position, tf.stack([seed, epoch]), last)
        # The K+1 largest of N random numbers: distinct frames in random order.
        draw = tf.random.stateless_uniform(
            [tf.gather(self._table.num_frames, video)], tf.stack([seed, number])
        )
        chosen = tf.math.top_k(draw, self.k_shot + 1).indices
        shard = tf.gather(self._table.shard_names, tf.gather(self._table.shard, video))
        offset = tf.gather(self._table.offset, video)
        record = records.parse_example(shards.read_record_in_graph(shard, offset))
        jpegs = tf.gather(record["frames"], chosen)
        size, points = self.info.image_size, self.info.num_points
        frames = tf.stack([tf.io.decode_jpeg(jpegs[j], channels=3) for j in range(self.k_shot + 1)])
        frames = tf.ensure_shape(frames, [self.k_shot + 1, size, size, 3])
        landmarks = tf.gather(record["landmarks"], chosen)
        landmarks = tf.ensure_shape(landmarks, [self.k_shot + 1, points, 2])
        return {
            "source_frames": frames[:-1],
            "source_landmarks": landmarks[:-1],
            "target_frame": frames[-1],
            "target_landmarks": landmarks[-1],
            "video_index": tf.cast(video, tf.int32),
        }


def _check_same_info(folders: list[dataset_folder.DatasetFolder]) -> None:
    first = folders[0]
    for other in folders[1:]:
        if other.info != first.info:
            raise ValueError(
                f"dataset folders do not match: {first.path} has {first.info}, {other.path} has "
                f"{other.info}"
            )


def _choose_people(videos: list, exclude: Collection[str], include: Collection[str] | None) -> list:
    known = {entry.identity for _, entry in videos}
    unknown = sorted((set(exclude) | set(include or ())) - known)
    if unknown:
        raise ValueError(
            f"identities {unknown} are not in the data; there are {len(known)}, such as "
            f"{sorted(known)[:5]}"
        )
    return [
        video
        for video in videos
        if video[1].identity not in exclude and (include is None or video[1].identity in include)
    ]
