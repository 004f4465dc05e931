"""What the collapse watchdog measures on a batch of episodes: pure TensorFlow, forward passes only.

Everything people report when this paper's training goes wrong can be seen in a few numbers: the
picture goes black, red or flat; the embedder says the same for everybody, or the generator does
not listen to it; the discriminator has won or has learnt nothing. Shares are in 0..1, pictures in
[-1, 1]. `_real` is the same quantity in the real frames, since a dark video is no collapse.

    watch/black_*      share of pixels with every channel below -0.95
    watch/red_*        share of pixels with R > 0.9, G and B < -0.9
    watch/saturated_*  share of channel values with |x| > 0.98
    watch/contrast_*   standard deviation over the pixels of a picture and channel, mean
    watch/spread_*     standard deviation over the pictures of the batch, mean           (B > 1)
    watch/error        mean |G - x|
    watch/swap         mean |G(y, ê_i) - G(y, ê_j)| for two videos i, j                  (B > 1)
    watch/swap_real    mean |x_i - x_j| of the same pairs                                (B > 1)
    watch/swap_to_real, watch/swap_to_error  `swap` by `swap_real`, by `error`           (B > 1)
    watch/embedding_rms      root mean square of ê's entries
    watch/embedding_zero     share of entries of ê that are 0: where the ReLU is dead
    watch/embedding_between  variance of ê between videos, mean over its entries         (B > 1)
    watch/embedding_within   variance of E's vectors over the K frames of a video        (K > 1)
    watch/embedding_spread   √between by rms: 0 where ê is the same for everybody        (B > 1)
    watch/embedding_ratio    between by within                                    (B > 1, K > 1)
    watch/right_real, watch/right_fake  share of scores > 0 on real, < 0 on fake (with D)
"""

from collections.abc import Mapping

import tensorflow as tf

from tf_talking.config import Config
from tf_talking.networks.borrowed_identity import person_vector
from tf_talking.networks.images import landmark_images, to_float

_TINY = 1e-12  # only keeps 0 / 0 from being NaN


def measure(
    config: Config, embedder, generator, batch: Mapping[str, tf.Tensor], discriminator=None
) -> dict[str, tf.Tensor]:
    """Measures the live networks on one batch; nothing is changed.

    Args:
      config: the run's config.
      embedder, generator: E and G with P.
      batch: source_frames uint8 [B, K, S, S, 3], source_landmarks [B, K, P, 2], target_frame
        uint8 [B, S, S, 3], target_landmarks [B, P, 2], video_index int [B]; B is static. Videos
        should differ: swapped persons are taken from rows of another video. With B = 1 there is
        no other, and the measures marked (B > 1) above are left out.
      discriminator: D, for the signs of its scores; None leaves them out.

    Returns:
      Name -> float32 scalar. The swap measures are NaN where all rows are of one video.
    """
    target = to_float(batch["target_frame"])
    drawn = landmark_images(config, batch["target_landmarks"])
    vectors = _vectors(config, embedder, batch)
    embedding = tf.reduce_mean(vectors, axis=1)
    person = embedding
    if "source_identity" in batch:
        person = person_vector(embedding, batch["source_identity"])
    fake = generator(drawn, generator.project(person))
    values = {"error": tf.reduce_mean(tf.abs(fake - target))}
    for name, frames in (("fake", fake), ("real", target)):
        values |= {f"{key}_{name}": value for key, value in _picture(frames).items()}
    values |= _embedding(vectors)
    if batch["video_index"].shape[0] != 1:
        values |= _swapped(generator, drawn, person, fake, target, batch["video_index"])
    if discriminator is not None:
        real_scores, _ = discriminator(target, drawn, batch["video_index"])
        fake_scores, _ = discriminator(fake, drawn, batch["video_index"])
        values["right_real"] = _share(real_scores > 0)
        values["right_fake"] = _share(fake_scores < 0)
    return {f"watch/{name}": value for name, value in values.items()}


def episodes_to_watch(dataset: tf.data.Dataset, count: int = 4, frames: int = 4) -> dict[str, tf.Tensor]:
    """The first episodes of a dataset as one batch that `measure` takes in every look.

    Always the same ones: then a change of the numbers is a change of the networks. Few: a look is
    to cost less than a step.

    Args:
      dataset: yields batches as `EpisodeDataset.dataset` does.
      count: episodes, B.
      frames: source frames of each, at most.
    """
    episodes = dataset.unbatch().take(count).batch(count, drop_remainder=True)
    batch = dict(next(iter(episodes)))
    for name in batch:
        if name.startswith("source_"):
            batch[name] = batch[name][:, :frames]
    return batch


def _share(condition: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(condition, tf.float32))


def _vectors(config: Config, embedder, batch) -> tf.Tensor:
    """E's vector of every source frame, [B, K, N]."""
    frames = to_float(batch["source_frames"])
    drawn = landmark_images(config, batch["source_landmarks"])
    shape, size = tf.shape(frames), config.model.image_size
    flat = [-1, size, size, 3]
    vectors = embedder(tf.reshape(frames, flat), tf.reshape(drawn, flat))
    vectors = tf.reshape(vectors, [shape[0], shape[1], vectors.shape[-1]])
    return tf.ensure_shape(vectors, [*frames.shape[:2], vectors.shape[-1]])


def _picture(frames: tf.Tensor) -> dict[str, tf.Tensor]:
    """Shares of spoilt pixels and how much is in the pictures; frames [B, S, S, 3]."""
    red, green, blue = tf.unstack(frames, axis=-1)
    values = {
        "black": _share(tf.reduce_all(frames < -0.95, axis=-1)),
        "red": _share((red > 0.9) & (green < -0.9) & (blue < -0.9)),
        "saturated": _share(tf.abs(frames) > 0.98),
        "contrast": tf.reduce_mean(tf.math.reduce_std(frames, axis=[1, 2])),
    }
    if frames.shape[0] != 1:
        values["spread"] = tf.reduce_mean(tf.math.reduce_std(frames, axis=0))
    return values


def _embedding(vectors: tf.Tensor) -> dict[str, tf.Tensor]:
    """How alive ê is and how much it tells videos apart; vectors [B, K, N]."""
    embedding = tf.reduce_mean(vectors, axis=1)
    rms = tf.sqrt(tf.reduce_mean(tf.square(embedding)))
    values = {"embedding_rms": rms, "embedding_zero": _share(embedding <= 0.0)}
    many_videos, many_frames = vectors.shape[0] != 1, vectors.shape[1] != 1
    if many_frames:
        values["embedding_within"] = tf.reduce_mean(tf.math.reduce_variance(vectors, axis=1))
    if many_videos:
        between = tf.reduce_mean(tf.math.reduce_variance(embedding, axis=0))
        values["embedding_between"] = between
        values["embedding_spread"] = tf.sqrt(between) / (rms + _TINY)
    if many_videos and many_frames:
        values["embedding_ratio"] = between / (values["embedding_within"] + _TINY)
    return values


def _swapped(generator, drawn, person, fake, target, video_index) -> dict[str, tf.Tensor]:
    """The same landmarks drawn with the embedding of a row of another video."""
    differs = video_index[:, tf.newaxis] != video_index[tf.newaxis, :]
    other = tf.argmax(tf.cast(differs, tf.int32), axis=1)  # the first row of another video
    has_other = tf.cast(tf.reduce_any(differs, axis=1), tf.float32)
    swapped = generator(drawn, generator.project(tf.gather(person, other)))

    def mean_over_pairs(difference):
        each = tf.reduce_mean(tf.abs(difference), axis=[1, 2, 3])
        return tf.reduce_sum(each * has_other) / tf.reduce_sum(has_other)

    swap = mean_over_pairs(fake - swapped)
    real = mean_over_pairs(target - tf.gather(target, other))
    return {
        "swap": swap,
        "swap_real": real,
        "swap_to_real": swap / (real + _TINY),
        "swap_to_error": swap / (mean_over_pairs(fake - target) + _TINY),
    }
