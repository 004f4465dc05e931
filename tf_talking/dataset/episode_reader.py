"""Reads one episode inside a graph: find the video, read its record, decode the sampled frames.

Reading (waiting for disks and networks) and decoding (work) are two functions, so that a pipeline
can run many of the first beside few of the second. What is damaged is found out without raising;
then either the next video of the epoch's order takes its place, a rule that every worker and every
resumed run follows alike, or the damage is reported with the shard and the byte.
"""

import typing

import numpy as np
import tensorflow as tf

from tf_talking.dataset import records, shards

_UNREADABLE, _NOT_A_RECORD, _NO_IMAGE = 1, 2, 3
_FAULTS = (
    "",
    "it is missing, cut off, or its checksum is wrong",
    "it is not a video record with the frames and points that the manifest says",
    "a sampled frame is not a JPEG image of the size in dataset.json",
)


class VideoTable(typing.NamedTuple):
    """Where each video is: one row a video, except the names of the shards."""

    shard_names: np.ndarray  # paths, str
    shard: np.ndarray  # int32, index into the names
    offset: np.ndarray  # int64, bytes; -1: not known, its shard could not be read
    num_frames: np.ndarray  # int32


class Draft(typing.NamedTuple):
    """An episode whose frames are not decoded (tensors)."""

    skipped: tf.Tensor  # int64 scalar, damaged records passed over
    fault: tf.Tensor  # int32 scalar, index into _FAULTS; 0: sound so far
    video: tf.Tensor  # int64 scalar
    jpegs: tf.Tensor  # string [K+1]
    landmarks: tf.Tensor  # float32 [K+1, P, 2]


class EpisodeReader:
    """In-graph functions from an episode's number to its frames."""

    def __init__(self, table: VideoTable, k_shot: int, seed: int, image_size: int, num_points: int, max_skipped: int):
        """`max_skipped`: damaged records passed over in one episode; one more is an error."""
        self._table = table
        self._num_videos = len(table.num_frames)
        self._sampled = k_shot + 1
        self._seed = seed
        self._size, self._points = image_size, num_points
        self._max_skipped = min(max_skipped, self._num_videos - 1)

    def read(self, number: tf.Tensor, skipped: tf.Tensor | int = 0) -> Draft:
        """Draft of episode `number` (int64 scalar), from candidate `skipped` on."""
        draft = self._read_candidate(number, tf.convert_to_tensor(skipped, tf.int64))
        if not self._max_skipped:
            return draft

        def damaged(draft: Draft):
            return (draft.fault > 0) & (draft.skipped < self._max_skipped)

        def next_candidate(draft: Draft):
            return [self._read_candidate(number, draft.skipped + 1)]

        return tf.while_loop(damaged, next_candidate, [draft])[0]

    def decode(self, number: tf.Tensor, draft: Draft) -> dict[str, tf.Tensor]:
        """The episode: see EpisodeDataset.dataset, without the batch dimension.

        Raises (when run):
            tf.errors.InvalidArgumentError: damaged, and no candidate is left.
        """
        draft, frames = self._decode_candidate(draft)
        if self._max_skipped:

            def damaged(draft: Draft, _):
                return (draft.fault > 0) & (draft.skipped < self._max_skipped)

            def next_candidate(draft: Draft, _):
                return self._decode_candidate(self.read(number, draft.skipped + 1))

            draft, frames = tf.while_loop(damaged, next_candidate, [draft, frames])
        sound = tf.debugging.Assert(draft.fault == 0, [self._complaint(draft)])
        with tf.control_dependencies([sound]):
            frames = tf.identity(frames)
        return {
            "source_frames": frames[:-1],
            "source_landmarks": draft.landmarks[:-1],
            "target_frame": frames[-1],
            "target_landmarks": draft.landmarks[-1],
            "video_index": tf.cast(draft.video, tf.int32),
            "skipped": tf.cast(draft.skipped, tf.int32),
        }

    def _place(self, video: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shard = tf.gather(self._table.shard_names, tf.gather(self._table.shard, video))
        return shard, tf.gather(self._table.offset, video)

    def _read_candidate(self, number: tf.Tensor, skipped: tf.Tensor) -> Draft:
        """The video `skipped` places behind episode `number`'s own in the epoch's order."""
        epoch = number // self._num_videos
        position = (number % self._num_videos + skipped) % self._num_videos
        seed = tf.constant(self._seed, tf.int64)
        last = tf.constant(self._num_videos - 1, tf.int64)
        video = tf.random.experimental.index_shuffle(position, tf.stack([seed, epoch]), last)
        # The K+1 largest of N random numbers: distinct frames in random order.
        num_frames = tf.gather(self._table.num_frames, video)
        draw = tf.random.stateless_uniform([num_frames], tf.stack([seed, number]))
        chosen = tf.math.top_k(draw, self._sampled).indices
        record = shards.read_record_in_graph(*self._place(video))

        def sample():
            parsed = records.parse_example(record)
            whole = tf.shape(parsed["landmarks"])[:2] == [num_frames, self._points]
            # A slice of too few points would fail in the batch, behind what can be caught.
            with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(whole), [""])]):
                jpegs = tf.gather(parsed["frames"], chosen)
            landmarks = tf.gather(parsed["landmarks"], chosen)
            return tf.constant(0), jpegs, landmarks

        no_landmarks = tf.zeros([self._sampled, self._points, 2])
        bad = tf.constant(_NOT_A_RECORD), tf.fill([self._sampled], ""), no_landmarks
        fault, jpegs, landmarks = shards.value_or(sample, bad)
        fault = tf.where(tf.strings.length(record) > 0, fault, _UNREADABLE)
        landmarks = tf.ensure_shape(landmarks, [self._sampled, self._points, 2])
        return Draft(skipped, fault, video, tf.ensure_shape(jpegs, [self._sampled]), landmarks)

    def _decode_candidate(self, draft: Draft) -> tuple[Draft, tf.Tensor]:
        """Draft with its fault brought up to date, frames uint8 [K+1, S, S, 3]."""
        shape = [self._sampled, self._size, self._size, 3]

        def decode():
            jpegs = tf.unstack(draft.jpegs)
            frames = tf.stack([tf.io.decode_jpeg(jpeg, channels=3) for jpeg in jpegs])
            return tf.constant(0), tf.ensure_shape(frames, shape)

        bad = tf.constant(_NO_IMAGE), tf.zeros(shape, tf.uint8)
        fault, frames = shards.value_or(decode, bad)
        fault = tf.where(draft.fault > 0, draft.fault, fault)
        return draft._replace(fault=fault), tf.ensure_shape(frames, shape)

    def _complaint(self, draft: Draft) -> tf.Tensor:
        shard, offset = self._place(draft.video)
        place = tf.strings.as_string(offset)
        video = tf.strings.as_string(draft.video)
        fault = tf.gather(_FAULTS, draft.fault)
        parts = ["shard ", shard, ": record at byte ", place, " (video ", video, "): ", fault]
        if self._max_skipped:
            parts.append(f"; the last of {self._max_skipped + 1} damaged records in a row")
        return tf.strings.join(parts)
