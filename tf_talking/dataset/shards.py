"""TFRecord shards with random access: where each record starts, and reading one by its offset.

`tf.data` reads TFRecord files from front to back only; an episode needs one video out of many, so
offsets are found by hopping over the headers (one small read a record) and a record is then read
directly. A TFRecord is: length uint64, crc of length uint32, data, crc of data uint32. Shards are
read on any path that TensorFlow knows (paths.py) and written to local folders.
TensorFlow is imported by the functions that need it.
"""

import atexit
import functools
import os
import pathlib
import struct
from collections.abc import Iterable

from tf_talking import files
from tf_talking.dataset import paths

_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4


class ShardError(ValueError):
    """A shard that is truncated or damaged; the message names it."""


def framed_size(record: bytes) -> int:
    """Bytes that a record takes in its shard: the next one starts that much further on."""
    return _HEADER.size + len(record) + _FOOTER_BYTES


def record_offsets(shard: str | os.PathLike, first: int = 0) -> list[int]:
    """Byte offsets of the records of a shard, from the record at byte `first` on.

    Raises:
      ShardError: the file ends inside a record.
      FileNotFoundError: there is no such file.
    """
    offsets, offset = [], first
    size = paths.file_size(shard)
    with paths.open_binary(shard) as file:
        while offset < size:
            file.seek(offset)
            header = file.read(_HEADER.size)
            end = size + 1
            if len(header) == _HEADER.size:
                end = offset + framed_size(b"") + _HEADER.unpack(header)[0]
            if end > size:
                raise ShardError(
                    f"shard {shard} is truncated or damaged: the record that starts at byte "
                    f"{offset} does not end within the file's {size} bytes. Delete the shard "
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

    # Deleted later than that, when TensorFlow's modules are empty, it prints an error.
    atexit.register(_eager_reader.cache_clear)
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
            return _eager_reader()(tf.constant(os.fspath(shard)), tf.constant(offset, tf.int64)).numpy()
    except tf.errors.OpError as error:
        reason = error.message.splitlines()[0]
        raise ShardError(f"shard {shard}: record at byte {offset}: {reason}") from None


def value_or(make, otherwise):
    """`make()` inside a graph, or `otherwise` where one of its operations fails.

    Args:
      make: function without arguments; returns tensors in some structure.
      otherwise: tensors of the same structure, types and ranks.
    """
    import tensorflow as tf

    # Datasets are the one place of a graph in which an error can be caught.
    made = tf.data.Dataset.from_tensors(0).map(lambda _: make()).ignore_errors()
    return made.concatenate(tf.data.Dataset.from_tensors(otherwise)).take(1).get_single_element()


def read_record_in_graph(shard, offset):
    """The record at byte `offset` inside a graph, its checksum verified.

    Args:
      shard: string scalar tensor; offset: int64 scalar tensor.

    Returns:
      String scalar, empty (as no video record is) where the record is damaged or missing.
    """
    import tensorflow as tf

    # Not ignore_errors on the records themselves: it tries a file that is missing for ever.
    return value_or(lambda: _record_dataset(shard, offset).get_single_element(), tf.constant(""))


def write_shard(shard: pathlib.Path, records: Iterable[bytes]) -> None:
    """Writes records; the file has its name only when it is whole and on disk.

    Raises:
      OSError: that fails; nothing of it stays then.
    """
    import tensorflow as tf

    try:
        with files.whole_file(shard) as temporary, tf.io.TFRecordWriter(os.fspath(temporary)) as writer:
            for record in records:
                writer.write(record)
    except (tf.errors.OpError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise OSError(f"{shard} could not be written, is the disk full? {reason}") from error
