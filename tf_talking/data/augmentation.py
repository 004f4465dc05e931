"""Episodes of people who are not in the data: mirrored, and in other colours.

Not in the paper, whose thousands of people make it needless. With a hundred people E learns them by
heart: it names the person, and G paints whom it knows. A change that all K+1 frames of an episode
share makes a new person of the old one, whose colours can only be had from the source frames.
"""

import tensorflow as tf

from tf_talking.landmarks.mirror import mirror_order

# Streams of random numbers beside the one that samples frames.
_MIRROR, _COLOR = 1, 2


def augment(
    episode: dict[str, tf.Tensor],
    number: tf.Tensor,
    *,
    seed: int,
    mirror: bool = False,
    color_jitter: float = 0.0,
) -> dict[str, tf.Tensor]:
    """The episode as another person's; what happens to it follows from (seed, number) alone.

    Args:
        episode: of EpisodeReader.decode.
        number: int64 scalar, the episode's number.
        seed: of the dataset.
        mirror: every second episode is mirrored, landmarks too.
        color_jitter: c; saturation, gamma and brightness are multiplied by factors in
            [e^-c, e^c], each colour channel by one in [e^-c/2, e^c/2]. 0: colours stay.

    Returns:
        The episode with the same keys, shapes and types.
    """
    sources, target = episode["source_frames"], episode["target_frame"]
    frames = tf.concat([sources, target[None]], 0)
    landmarks = tf.concat([episode["source_landmarks"], episode["target_landmarks"][None]], 0)
    if mirror:
        draw = tf.random.stateless_uniform([], _stream(seed, number, _MIRROR))
        frames, landmarks = tf.cond(
            draw < 0.5, lambda: _mirrored(frames, landmarks), lambda: (frames, landmarks)
        )
    if color_jitter:
        frames = _recolored(frames, _stream(seed, number, _COLOR), color_jitter)
    return episode | {
        "source_frames": tf.ensure_shape(frames[:-1], sources.shape),
        "source_landmarks": landmarks[:-1],
        "target_frame": tf.ensure_shape(frames[-1], target.shape),
        "target_landmarks": landmarks[-1],
    }


def _stream(seed: int, number: tf.Tensor, stream: int) -> tf.Tensor:
    return tf.stack([tf.constant(seed + (stream << 32), tf.int64), tf.cast(number, tf.int64)])


def _mirrored(frames: tf.Tensor, landmarks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    turned = tf.gather(landmarks, mirror_order(landmarks.shape[1]), axis=1)
    x, y = tf.unstack(turned, axis=-1)
    last = tf.cast(tf.shape(frames)[2] - 1, tf.float32)
    return frames[:, :, ::-1], tf.stack([last - x, y], -1)


def _recolored(frames: tf.Tensor, seed: tf.Tensor, limit: float) -> tf.Tensor:
    draw = tf.random.stateless_uniform([6], seed, -limit, limit)
    saturation, gamma, brightness = tf.unstack(tf.exp(draw[:3]))
    gain = brightness * tf.exp(draw[3:] / 2)
    colors = tf.cast(frames, tf.float32) / 255.0
    gray = tf.reduce_mean(colors, -1, keepdims=True)
    colors = tf.clip_by_value(gray + saturation * (colors - gray), 0.0, 1.0)
    colors = gain * colors**gamma
    return tf.cast(tf.round(tf.clip_by_value(255.0 * colors, 0.0, 255.0)), tf.uint8)
