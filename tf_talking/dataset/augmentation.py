"""Episodes of people who are not in the data: mirrored, of another shape, and in other colours.

Not in the paper, whose thousands of people make it needless. With a hundred people E learns them by
heart: it names the person, and G paints whom it knows. A change that all K+1 frames of an episode
share makes a new person of the old one, whose colours can only be had from the source frames, and
whose shape in the landmark image no longer tells G who it was.
"""

import tensorflow as tf

from tf_talking.landmarks.mirror import mirror as mirrored
from tf_talking.landmarks.other_shape import NUM_MEASURES, other_shape

# Streams of random numbers beside the one that samples frames. Copies of a photo take one each,
# from _COPIES on.
_MIRROR, _COLOR, _STRETCH, _COPIES = 1, 2, 3, 4
_SHAPE, _CROPS = 1 << 10, 1 << 11


def augment(
    episode: dict[str, tf.Tensor],
    number: tf.Tensor,
    *,
    seed: int,
    mirror: bool = False,
    stretch: float = 0.0,
    color_jitter: float = 0.0,
    crop_jitter: float = 0.0,
    shape_jitter: float = 0.0,
) -> dict[str, tf.Tensor]:
    """The episode as another person's; what happens to it follows from (seed, number) alone.

    Args:
      episode: of EpisodeReader.decode.
      number: int64 scalar, the episode's number.
      seed: of the dataset.
      mirror: every second episode is mirrored, landmarks too.
      stretch: s; frames and landmarks are made wider by a factor in [e^-s, e^s] and lower by the
        same one (area stays), sheared by up to s/2, and widened towards top or bottom by up to
        s/2 of the width, about the middle of the frame. What comes in from outside repeats the
        border. 0: shapes stay.
      color_jitter: c; saturation, gamma and brightness are multiplied by factors in
        [e^-c, e^c], each colour channel by one in [e^-c/2, e^c/2]. 0: colours stay.
      crop_jitter: j; each frame by itself is scaled by a factor in [e^-j, e^j] and moved by up to
        j/2 of S, as other crops of the same video would show it. 0: crops stay.
      shape_jitter: standard deviations by which every second episode's landmarks are drawn with
        another shape than the frame shows (landmarks.other_shape). 0: as they are.

    Returns:
      The episode with the same keys, shapes and types; with shape_jitter also "drawn_landmarks"
      like target_landmarks, which the landmark image of the target is to be drawn from.
    """
    sources, target = episode["source_frames"], episode["target_frame"]
    frames = tf.concat([sources, target[None]], 0)
    landmarks = tf.concat([episode["source_landmarks"], episode["target_landmarks"][None]], 0)
    if mirror:
        draw = tf.random.stateless_uniform([], _stream(seed, number, _MIRROR))
        frames, landmarks = tf.cond(draw < 0.5, lambda: mirrored(frames, landmarks), lambda: (frames, landmarks))
    if stretch:
        frames, landmarks = _stretched(frames, landmarks, _stream(seed, number, _STRETCH), stretch)
    if color_jitter:
        frames = _recolored(frames, _stream(seed, number, _COLOR), color_jitter)
    if crop_jitter:
        frames, landmarks = _cropped_otherwise(frames, landmarks, _stream(seed, number, _CROPS), crop_jitter)
    if shape_jitter:
        amounts = tf.random.stateless_normal([NUM_MEASURES + 1], _stream(seed, number, _SHAPE))
        amounts = tf.clip_by_value(amounts, -2.0, 2.0) * tf.where(amounts[-1] < 0.0, shape_jitter, 0.0)
        episode = episode | {"drawn_landmarks": other_shape(landmarks[-1], amounts[:-1])}
    return episode | {
        "source_frames": tf.ensure_shape(frames[:-1], sources.shape),
        "source_landmarks": landmarks[:-1],
        "target_frame": tf.ensure_shape(frames[-1], target.shape),
        "target_landmarks": landmarks[-1],
    }


def change_copies(episode: dict[str, tf.Tensor], number: tf.Tensor, seed: int) -> dict[str, tf.Tensor]:
    """Sources of a person of one photo: each a copy of it, changed by itself.

    Mirrored or not, turned by up to 0.2 rad, moved by up to 8 % of S, larger or smaller by up to
    e^0.15, a little recoloured; landmarks likewise. So no source is the target as it is, and what
    all of them show is the person.

    Args:
      episode: its sources are the target.
      number, seed: see `augment`.
    """
    frames, landmarks = [], []
    for index in range(episode["source_frames"].shape[0]):
        frame = episode["source_frames"][index : index + 1]
        points = episode["source_landmarks"][index : index + 1]
        stream = _stream(seed, number, _COPIES + index)
        draw = tf.random.stateless_uniform([5], stream, -1.0, 1.0)
        frame, points = tf.cond(
            draw[0] < 0.0,
            lambda frame=frame, points=points: mirrored(frame, points),
            lambda frame=frame, points=points: (frame, points),
        )
        size, angle = tf.exp(0.15 * draw[1]), 0.2 * draw[2]
        a, b = size * tf.cos(angle), size * tf.sin(angle)
        matrix = tf.stack([[a, -b, 0.16 * draw[3]], [b, a, 0.16 * draw[4]], [0.0, 0.0, 1.0]])
        frame, points = _transformed(frame, points, matrix)
        frames.append(_recolored(frame, stream + tf.constant([0, 1 << 40], tf.int64), 0.1))
        landmarks.append(points)
    frames = tf.ensure_shape(tf.concat(frames, 0), episode["source_frames"].shape)
    return episode | {"source_frames": frames, "source_landmarks": tf.concat(landmarks, 0)}


def _stream(seed: int, number: tf.Tensor, stream: int) -> tf.Tensor:
    return tf.stack([tf.constant(seed + (stream << 32), tf.int64), tf.cast(number, tf.int64)])


def _stretched(frames: tf.Tensor, landmarks: tf.Tensor, seed: tf.Tensor, limit: float) -> tuple[tf.Tensor, tf.Tensor]:
    draw = tf.random.stateless_uniform([3], seed, -limit, limit)
    width = tf.exp(draw[0])
    # Width changes by draw[2] between the borders.
    matrix = tf.stack([[width, draw[1] / 2, 0.0], [0.0, 1 / width, 0.0], [0.0, draw[2] / 4, 1.0]])
    return _transformed(frames, landmarks, matrix)


def _cropped_otherwise(
    frames: tf.Tensor, landmarks: tf.Tensor, seed: tf.Tensor, limit: float
) -> tuple[tf.Tensor, tf.Tensor]:
    draw = tf.random.stateless_uniform([frames.shape[0], 3], seed, -limit, limit)
    changed = []
    for index in range(frames.shape[0]):
        size = tf.exp(draw[index, 0])
        matrix = tf.stack([[size, 0.0, draw[index, 1]], [0.0, size, draw[index, 2]], [0.0, 0.0, 1.0]])
        changed.append(_transformed(frames[index : index + 1], landmarks[index : index + 1], matrix))
    frames, landmarks = zip(*changed, strict=True)
    return tf.concat(frames, 0), tf.concat(landmarks, 0)


def _transformed(frames: tf.Tensor, landmarks: tf.Tensor, matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """By a homography [3, 3] of points [x, y, 1] about the middle, ±1 at the borders."""
    middle = tf.cast(tf.shape(frames)[1] - 1, tf.float32) / 2
    points = tf.pad((landmarks - middle) / middle, [[0, 0], [0, 0], [0, 1]], constant_values=1.0)
    points = tf.linalg.matmul(points, matrix, transpose_b=True)
    points = middle * points[..., :2] / points[..., 2:] + middle
    # Pixels are looked up: from the new place to the old one, in pixels from the corner.
    to_middle = tf.stack([[1 / middle, 0.0, -1.0], [0.0, 1 / middle, -1.0], [0.0, 0.0, 1.0]])
    lookup = tf.linalg.inv(to_middle) @ tf.linalg.inv(matrix) @ to_middle
    lookup = tf.reshape(lookup / lookup[2, 2], [9])[:8]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(frames, tf.float32),  # of integers it cuts fractions off
        transforms=lookup[None],
        output_shape=tf.shape(frames)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.cast(tf.round(moved), tf.uint8), points


def _recolored(frames: tf.Tensor, seed: tf.Tensor, limit: float) -> tf.Tensor:
    draw = tf.random.stateless_uniform([6], seed, -limit, limit)
    saturation, gamma, brightness = tf.unstack(tf.exp(draw[:3]))
    gain = brightness * tf.exp(draw[3:] / 2)
    colors = tf.cast(frames, tf.float32) / 255.0
    gray = tf.reduce_mean(colors, -1, keepdims=True)
    colors = tf.clip_by_value(gray + saturation * (colors - gray), 0.0, 1.0)
    colors = gain * colors**gamma
    return tf.cast(tf.round(tf.clip_by_value(255.0 * colors, 0.0, 255.0)), tf.uint8)
