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
    photos: np.ndarray  # bool: sources are changed copies of the target


class Draft(typing.NamedTuple):
    """An episode whose frames are not decoded (tensors)."""

    skipped: tf.Tensor  # int64 scalar, damaged records passed over
    fault: tf.Tensor  # int32 scalar, index into _FAULTS; 0: sound so far
    video: tf.Tensor  # int64 scalar
    jpegs: tf.Tensor  # string [K+1]
    landmarks: tf.Tensor  # float32 [K+1, P, 2]
    identity: tf.Tensor  # float32 [K, I]
    photos: tf.Tensor  # bool scalar


class EpisodeReader:
    """In-graph functions from an episode's number to its frames."""

    def __init__(
        self,
        table: VideoTable,
        k_shot: int,
        seed: int,
        image_size: int,
        num_points: int,
        max_skipped: int,
        identity_size: int = 0,
        photo_share: float = 0.0,
    ):
        """Args:
        max_skipped: damaged records passed over in one episode; one more is an error.
        identity_size: I, numbers a frame of a recogniser's that records must hold.
        photo_share: of the episodes, drawn from people of photos. 0: all are drawn alike.
        """
        self._table = table
        self._sampled, self._identity_size = k_shot + 1, identity_size
        self._seed = seed
        self._size, self._points = image_size, num_points
        self._photo_share = photo_share
        photos = np.flatnonzero(table.photos) if photo_share else np.array([], np.int64)
        videos = np.setdiff1d(np.arange(len(table.num_frames)), photos)
        self._kinds = videos.astype(np.int64), photos.astype(np.int64)
        smallest = min(len(kind) for kind in self._kinds if len(kind))
        self._max_skipped = min(max_skipped, smallest - 1)

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
            "source_identity": draft.identity,
            "photos": draft.photos,
            "video_index": tf.cast(draft.video, tf.int32),
            "skipped": tf.cast(draft.skipped, tf.int32),
        }

    def _place(self, video: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shard = tf.gather(self._table.shard_names, tf.gather(self._table.shard, video))
        return shard, tf.gather(self._table.offset, video)

    def _read_candidate(self, number: tf.Tensor, skipped: tf.Tensor) -> Draft:
        """The video `skipped` places behind episode `number`'s own in the epoch's order."""
        video, photos = self._video(number, skipped)
        num_frames = tf.gather(self._table.num_frames, video)
        chosen, recognised = self._frames(number, num_frames, photos)
        record = shards.read_record_in_graph(*self._place(video))

        def sample():
            parsed = records.parse_example(record)
            whole = tf.shape(parsed["landmarks"])[:2] == [num_frames, self._points]
            # A slice of too few points would fail in the batch, behind what can be caught.
            with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(whole), [""])]):
                jpegs = tf.gather(parsed["frames"], chosen)
            landmarks = tf.gather(parsed["landmarks"], chosen)
            identity = tf.gather(parsed["identity_vectors"][:, : self._identity_size], recognised)
            identity = tf.ensure_shape(identity, [self._sampled - 1, self._identity_size])
            return tf.constant(0), jpegs, landmarks, identity

        no_landmarks = tf.zeros([self._sampled, self._points, 2])
        no_identity = tf.zeros([self._sampled - 1, self._identity_size])
        bad = tf.constant(_NOT_A_RECORD), tf.fill([self._sampled], ""), no_landmarks, no_identity
        fault, jpegs, landmarks, identity = shards.value_or(sample, bad)
        fault = tf.where(tf.strings.length(record) > 0, fault, _UNREADABLE)
        landmarks = tf.ensure_shape(landmarks, [self._sampled, self._points, 2])
        jpegs = tf.ensure_shape(jpegs, [self._sampled])
        return Draft(skipped, fault, video, jpegs, landmarks, identity, photos)

    def _video(self, number: tf.Tensor, skipped: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(index of the video, whether it is a person's photos).

        Each kind has an order of its own; episodes of photos are spread evenly over the others.
        """
        videos, photos = self._kinds
        before = tf.cast(tf.floor(tf.cast(number, tf.float64) * self._photo_share), tf.int64)
        after = tf.cast(tf.floor(tf.cast(number + 1, tf.float64) * self._photo_share), tf.int64)
        of_photos = after > before
        count = tf.where(of_photos, np.int64(len(photos)), np.int64(len(videos)))
        number = tf.where(of_photos, before, number - before)
        seed = tf.stack([tf.constant(self._seed, tf.int64), number // count])
        position = (number % count + skipped) % count
        place = tf.random.experimental.index_shuffle(position, seed, count - 1)
        place += tf.where(of_photos, np.int64(len(videos)), np.int64(0))
        return tf.gather(np.concatenate(self._kinds), place), of_photos

    def _frames(self, number: tf.Tensor, num_frames: tf.Tensor, photos: tf.Tensor):
        """Frames of an episode of a video of `num_frames`.

        Returns:
          int32 [K+1], the target's last, and [K], those whose faces the recogniser looked at. Of
          photos, sources are the target; their faces are the person's other photos', if any.
        """
        seed = tf.stack([tf.constant(self._seed, tf.int64), number])
        draw = tf.random.stateless_uniform([num_frames], seed)
        # The K+1 largest of N random numbers: distinct frames in random order.
        order = tf.math.top_k(draw, tf.minimum(self._sampled, num_frames)).indices
        chosen = tf.gather(order, tf.range(self._sampled) % tf.size(order))
        target = tf.fill([self._sampled], order[0])
        recognised = tf.where(photos, tf.roll(chosen, -1, 0)[:-1], chosen[:-1])
        return tf.where(photos, target, chosen), recognised

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
