"""Procedural people, for benchmarks that need no data set."""

import numpy as np
import tensorflow as tf

from tf_talking.config import Config
from tf_talking.config.config import IDENTITY_SIZES
from tf_talking.dataset.records import decode_frames
from tf_talking.procedural import render as procedural
from tf_talking.procedural.samples import in_scheme
from training.person.frames import PersonFrames


def procedural_person(config: Config, num_frames: int) -> PersonFrames:
    """T frames of a painted person who talks."""
    record = procedural.render_video(0, num_frames, config.model.image_size)
    landmarks = np.stack([in_scheme(points, config) for points in record.landmarks])
    return PersonFrames(decode_frames(record, range(num_frames)), landmarks, "procedural")


def make_batch(config: Config, num_videos: int = 100) -> dict[str, tf.Tensor]:
    """One batch as `EpisodeDataset` yields it; the videos' indices lie below `num_videos`."""
    size, k_shot = config.model.image_size, config.train.k_shot
    frames, landmarks = [], []
    for person in range(config.train.batch_size):
        record = procedural.render_video(person, k_shot + 1, size)
        frames.append(decode_frames(record, range(k_shot + 1)))
        landmarks.append(np.stack([in_scheme(points, config) for points in record.landmarks]))
    frames, landmarks = np.stack(frames), np.stack(landmarks)
    index = np.arange(config.train.batch_size) % num_videos
    borrowed = IDENTITY_SIZES[config.model.borrowed_identity]
    vectors = np.random.default_rng(0).normal(size=(config.train.batch_size, k_shot, borrowed)).astype(np.float32)
    return {
        "source_frames": tf.constant(frames[:, :-1]),
        "source_landmarks": tf.constant(landmarks[:, :-1]),
        "target_frame": tf.constant(frames[:, -1]),
        "target_landmarks": tf.constant(landmarks[:, -1]),
        "video_index": tf.constant(index, tf.int32),
        **({"source_identity": tf.constant(vectors)} if borrowed else {}),
    }
