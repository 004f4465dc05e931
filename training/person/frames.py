"""Frames and landmarks of one person, and the order in which fine-tuning sees them."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_talking.dataset.records import VideoRecord, decode_frames


@dataclasses.dataclass(frozen=True)
class PersonFrames:
    """T cropped frames uint8 [T, S, S, 3] and their landmarks float32 [T, P, 2] in pixels."""

    frames: np.ndarray
    landmarks: np.ndarray
    source: str

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def of_record(cls, record: VideoRecord, chosen: Sequence[int], source: str | None = None) -> "PersonFrames":
        """The frames of a record with the numbers in `chosen`; their source is the video's name."""
        chosen = np.asarray(chosen)
        frames, landmarks = decode_frames(record, chosen), record.landmarks[chosen]
        return cls(frames, landmarks, source or record.video_id)

    def some(self, chosen: np.ndarray) -> "PersonFrames":
        """Those of the numbers in `chosen`."""
        return PersonFrames(self.frames[chosen], self.landmarks[chosen], self.source)


def photo_dataset(person: PersonFrames, batch_size: int, seed: int, step: tf.Variable) -> tf.data.Dataset:
    """All T photos each epoch, shuffled, in batches of at most `batch_size`.

    The order follows from the seed and `step`, the number of batches so far, when an epoch begins:
    a job that goes on after a kill sees the order that it would have seen.
    """
    rows = {"frames": person.frames, "landmarks": person.landmarks}

    def order(_):
        numbers = tf.range(len(person), dtype=tf.int64)
        key = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
        numbers = tf.random.experimental.stateless_shuffle(numbers, key)
        return tf.data.Dataset.from_tensor_slices(numbers)

    photos = {name: tf.constant(values) for name, values in rows.items()}
    dataset = tf.data.Dataset.range(1).flat_map(order)
    dataset = dataset.map(lambda n: {name: tf.gather(v, n) for name, v in photos.items()})
    dataset = dataset.batch(min(batch_size, len(person)))
    # Without the number Keras asks for a batch too many in the first epoch after a start. The step
    # finds none, but has followed σ by then, which needs no batch: a job that goes on after a kill
    # would do so in another epoch than one that was left alone.
    return dataset.apply(tf.data.experimental.assert_cardinality(-(-len(person) // batch_size)))
