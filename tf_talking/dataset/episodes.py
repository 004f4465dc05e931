"""Episodes for meta-learning: K source frames and one target frame of the same video.

Paper section 3.2: an episode is a video i, K frames s_1..s_K of it and another frame t. The n-th
episode since the start of training is a function of (seed, n) alone: which video follows from a
permutation of the videos drawn from (seed, epoch), which frames from (seed, n). Nothing has to be
replayed to resume at episode n, nothing is held in a shuffle buffer, and each video is read
straight from its place in its shard. Only the K+1 drawn frames are decoded. Workers divide the
episodes among them by number: together they see what one worker would. All of it is graph: no
Python runs in the pipeline's threads.
"""

import pathlib
from collections.abc import Collection, Sequence

import numpy as np
import tensorflow as tf

from tf_talking.config.config import IDENTITY_SIZES
from tf_talking.dataset.augmentation import augment, change_copies
from tf_talking.dataset.episode_reader import EpisodeReader
from tf_talking.dataset.videos import check_kinds, leave_out, locate, long_enough, open_alike

MAX_SKIPPED = 99  # damaged records passed over for one episode: more means that hardly any is sound


class EpisodeDataset:
    """Endless, resumable stream of episode batches.

    Attributes:
      info: DatasetInfo that all folders share.
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
        skip_short: bool = False,
        on_damage: str = "raise",
        mirror: bool = False,
        stretch: float = 0.0,
        color_jitter: float = 0.0,
        crop_jitter: float = 0.0,
        shape_jitter: float = 0.0,
        photo_share: float = 0.0,
        borrowed_identity: str = "none",
    ):
        """Opens the folders; shards must be there, and local ones as long as they should be.

        Args:
          folders: one dataset folder or several of the same size, detector and scheme; local, or
            on any path that TensorFlow knows ("gs://bucket/data").
          k_shot: K, at least 1.
          batch_size: B, episodes in a batch.
          seed: non-negative, below 2^31.
          exclude_identities: people who are left out.
          skip_short: leave out videos of fewer than K+1 frames instead of raising.
          on_damage: "raise" ends the stream at a record that is missing or damaged, with an
            error that names the shard and the byte. "skip" takes the next video of the
            epoch's order in its place, and batches tell how many were passed over. A damaged
            video keeps its index either way.
          mirror, stretch, color_jitter, crop_jitter, shape_jitter: see augmentation.augment.
          photo_share: of the episodes, from people of whom there are photos instead of a video.
            One photo is enough: it is the target, and the sources are changed copies of it
            (augmentation.change_copies). 0: photos are taken for frames of a video.
          borrowed_identity: the recogniser whose stored embeddings come along.

        Raises:
          ValueError: folders do not match, a named identity does not exist, a video is too
            short, or nothing is left.
          shards.ShardError: a shard is missing or truncated ("raise").
        """
        if on_damage not in ("raise", "skip"):
            raise ValueError(f"on_damage: got {on_damage!r}, expected 'raise' or 'skip'")
        if k_shot < 1 or batch_size < 1 or not 0 <= seed < 2**31:
            raise ValueError(
                f"got k_shot {k_shot}, batch_size {batch_size}, seed {seed}; expected at least 1, "
                "at least 1, and 0 to 2^31 - 1"
            )
        if isinstance(folders, str | pathlib.Path):
            folders = [folders]
        opened = open_alike(folders)
        self.info = opened[0].info
        self.data_hash = "+".join(folder.data_hash for folder in opened)
        self.k_shot, self.batch_size, self.seed = k_shot, batch_size, seed
        videos = [(folder, entry) for folder in opened for entry in folder.accepted]
        videos = leave_out(videos, exclude_identities)
        videos = long_enough(videos, k_shot + 1, skip_short, copy_photos=photo_share > 0)
        check_kinds(videos, photo_share)
        self.entries = [entry for _, entry in videos]
        self.on_damage = on_damage
        self._augmentation = {
            "mirror": mirror,
            "stretch": stretch,
            "color_jitter": color_jitter,
            "crop_jitter": crop_jitter,
            "shape_jitter": shape_jitter,
        }
        self._photo_share = photo_share
        self._identity_size = IDENTITY_SIZES[borrowed_identity]
        self._reader = EpisodeReader(
            locate(videos, skip_damage=on_damage == "skip"),
            k_shot,
            seed,
            self.info.image_size,
            self.info.num_points,
            max_skipped=MAX_SKIPPED if on_damage == "skip" else 0,
            identity_size=self._identity_size,
            photo_share=photo_share,
        )

    @property
    def num_videos(self) -> int:
        """M: the number of rows of the discriminator's W."""
        return len(self.entries)

    def dataset(
        self,
        start: int = 0,
        *,
        num_replicas: int = 1,
        pipeline: int = 0,
        num_pipelines: int = 1,
        deterministic: bool = True,
        parallel_reads: int = 16,
        decode_threads: int | None = None,
        pool_threads: int | None = None,
    ) -> tf.data.Dataset:
        """Endless batches from episode number `start` on (as many as were consumed before).

        Batches run across the ends of epochs; no episode is dropped.

        The B episodes of a step are divided in order among the replicas, and the replicas in order
        among the pipelines (the input workers of `tf.distribute`). A pipeline yields one batch of
        B / num_replicas episodes for each of its replicas in turn, step after step, as
        `Strategy.distribute_datasets_from_function` deals them out. It reads nothing that belongs
        to another pipeline.

        Args:
          start: episodes consumed before by all replicas together.
          num_replicas: replicas of all pipelines together; divides B.
          pipeline: which pipeline this is, below num_pipelines.
          num_pipelines: divides num_replicas.
          deterministic: False hands over episodes as they become ready. It is faster where
            reading times differ, each episode still comes once, but their order changes from
            run to run, and a resumed run may repeat a few and miss as many.
          parallel_reads: records that are read at once. Each is held whole meanwhile: 16 videos
            of a thousand frames of 256 px are some 400 MB.
          decode_threads: episodes that are decoded at once; None: tf.data decides.
          pool_threads: threads of a pool of this pipeline's own; None: it shares TensorFlow's.
            With 1, decoding stays on one core; reading of records has a thread of its own
            beside it.

        Yields dicts, where b = B / num_replicas:
            source_frames uint8 [b, K, S, S, 3], source_landmarks float32 [b, K, P, 2],
            target_frame uint8 [b, S, S, 3], target_landmarks float32 [b, P, 2],
            video_index int32 [b]; with borrowed_identity also
            source_identity float32 [b, K, I]; with photo_share also
            photos bool [b], whose sources are changed copies; with shape_jitter also
            drawn_landmarks float32 [b, P, 2], what the target's landmark image is drawn from;
            with on_damage="skip" also
            skipped int32 [b], the damaged records that were passed over to make the episode.

        Raises:
          ValueError: an argument is out of range, or B can not be divided.
        """
        self._check_division(start, num_replicas, pipeline, num_pipelines)
        here = self.batch_size // num_pipelines  # of this pipeline, in a step

        # Plain TensorFlow: converting it takes seconds at every start of a run.
        @tf.autograph.experimental.do_not_convert
        def number(index: tf.Tensor) -> tf.Tensor:
            """Episode number of this pipeline's `index`-th episode."""
            step, place = index // here, index % here
            return start + step * self.batch_size + pipeline * here + place

        @tf.autograph.experimental.do_not_convert
        def decode(number: tf.Tensor, draft) -> dict[str, tf.Tensor]:
            episode = self._reader.decode(number, draft)
            if self.on_damage == "raise":
                del episode["skipped"]
            photos = episode["photos"]
            if not self._photo_share:
                del episode["photos"]
            if not self._identity_size:
                del episode["source_identity"]
            if self._photo_share:
                episode = tf.cond(photos, lambda: change_copies(episode, number, self.seed), lambda: episode)
            return augment(episode, number, seed=self.seed, **self._augmentation)

        dataset = tf.data.Dataset.range(np.iinfo(np.int64).max // self.batch_size).map(number)

        @tf.autograph.experimental.do_not_convert
        def read(number: tf.Tensor):
            return number, self._reader.read(number)

        dataset = dataset.map(read, num_parallel_calls=parallel_reads, deterministic=deterministic)
        dataset = dataset.map(
            decode, num_parallel_calls=decode_threads or tf.data.AUTOTUNE, deterministic=deterministic
        )
        dataset = dataset.batch(self.batch_size // num_replicas, drop_remainder=True).prefetch(2)
        options = tf.data.Options()
        options.deterministic = deterministic
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        if pool_threads is not None:
            options.threading.private_threadpool_size = pool_threads
        return dataset.with_options(options)

    def _check_division(self, start: int, num_replicas: int, pipeline: int, num_pipelines: int) -> None:
        if start < 0:
            raise ValueError(f"start: got {start}, expected the number of episodes consumed, >= 0")
        if num_replicas < 1 or self.batch_size % num_replicas:
            raise ValueError(f"batch_size: got {self.batch_size}, expected a multiple of the {num_replicas} replicas")
        if num_pipelines < 1 or num_replicas % num_pipelines or not 0 <= pipeline < num_pipelines:
            raise ValueError(
                f"got pipeline {pipeline} of {num_pipelines} for {num_replicas} replicas, expected "
                "0 <= pipeline < num_pipelines, and the same number of replicas in each pipeline"
            )
