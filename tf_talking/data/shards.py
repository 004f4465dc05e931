"""TFRecord shards with random access: where each record starts, and reading one by its offset.

`tf.data` reads TFRecord files from front to back only; an episode needs one video out of many, so
offsets are found by hopping over the headers (one small read a record) and a record is then read
directly. A TFRecord is: length uint64, crc of length uint32, data, crc of data uint32.
TensorFlow is imported by the functions that need it.
"""

import functools
import os
import pathlib
import struct
from collections.abc import Iterable

_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4


class ShardError(ValueError):
    """A shard that is truncated or damaged; the message names it."""


def record_offsets(shard: str | os.PathLike) -> list[int]:
    """Byte offsets of the records of a shard.

    Raises:
        ShardError: the file ends inside a record.
        FileNotFoundError: there is no such file.
    """
    offsets, offset = [], 0
    size = os.path.getsize(shard)
    with open(shard, "rb") as file:
        while offset < size:
            file.seek(offset)
            header = file.read(_HEADER.size)
            end = size + 1
            if len(header) == _HEADER.size:
                end = offset + _HEADER.size + _HEADER.unpack(header)[0] + _FOOTER_BYTES
            if end > size:
                raise ShardError(
                    f"shard {shard} is truncated or damaged: record {len(offsets)} starts at byte "
                    f"{offset} and does not end within the file's {size} bytes. Delete the shard "
                    "and run preprocessing again to rebuild it"
                )
            offsets.append(offset)
            offset = end
    return offsets


def _record_dataset(shard, offset):
    """Dataset of the record (string) at byte `offset` of `shard`, both tensors; inside graphs only.

    Checksums are verified. An eager iterator serializes its dataset, which TensorFlow 2.15 can not
    do with this op.
    """
    import tensorflow as tf

    # The op below TFRecordDataset: the class itself does not pass on where to start.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=tf.reshape(shard, [1]),
        compression_type="",
        buffer_size=tf.constant(0, tf.int64),
        byte_offsets=tf.reshape(tf.cast(offset, tf.int64), [1]),
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(1)


@functools.cache
def _eager_reader():
    import tensorflow as tf

    return tf.function(
        lambda shard, offset: _record_dataset(shard, offset).get_single_element(),
        input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)],
    )


def read_record(shard: str | os.PathLike, offset: int) -> bytes:
    """The record that starts at byte `offset`, its checksum verified.

    Raises:
        ShardError: the record is damaged or truncated.
    """
    import tensorflow as tf

    try:
        with tf.device("CPU"):
            return _eager_reader()(
                tf.constant(os.fspath(shard)), tf.constant(offset, tf.int64)
            ).numpy()
    except tf.errors.OpError as error:
        reason = error.message.splitlines()[0]
        raise ShardError(f"shard {shard}: record at byte {offset}: {reason}") from None


def read_record_in_graph(shard, offset):
    """The same inside a graph: string scalar tensors in and out, an error that names the shard."""
    import tensorflow as tf

    # An error inside tf.data does not say which file it is about. So a damaged record becomes an
    # empty one, which can not be a video, and that is reported.
    damaged = tf.data.Dataset.from_tensors("")
    records = _record_dataset(shard, offset).ignore_errors().concatenate(damaged).take(1)
    record = records.get_single_element()
    place = tf.strings.as_string(offset)
    message = tf.strings.join(["shard ", shard, ": record at byte ", place, ": damaged or missing"])
    with tf.control_dependencies([tf.debugging.Assert(tf.strings.length(record) > 0, [message])]):
        return tf.identity(record)


def write_shard(shard: pathlib.Path, records: Iterable[bytes]) -> None:
    """Writes records; the file has its final name only when it is whole and on disk."""
    import tensorflow as tf

    temporary = shard.with_name(f"{shard.name}.tmp")
    with tf.io.TFRecordWriter(os.fspath(temporary)) as writer:
        for record in records:
            writer.write(record)
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, shard)
    sync_folder(shard.parent)


def sync_folder(folder: str | os.PathLike) -> None:
    """Makes a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
