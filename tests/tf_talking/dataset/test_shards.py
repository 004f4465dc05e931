import os
import subprocess
import sys

import pytest
import tensorflow as tf

from tf_talking.dataset import shards

RECORDS = [b"first", b"", b"third" * 100]


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "videos-00000.tfrecord"
    shards.write_shard(path, RECORDS)
    return path


def test_random_access_returns_what_was_written(shard):
    offsets = shards.record_offsets(shard)
    assert [shards.read_record(shard, offset) for offset in offsets] == RECORDS
    assert [path.name for path in shard.parent.iterdir()] == [shard.name]


def test_a_program_that_has_read_one_ends_without_a_word(shard, repo_root):
    code = f"from tf_talking.dataset import shards; assert shards.read_record({str(shard)!r}, 0) == b'first'"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], cwd=repo_root, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_reading_inside_a_graph(shard):
    read = tf.function(shards.read_record_in_graph)
    third = shards.record_offsets(shard)[2]
    assert read(tf.constant(str(shard)), tf.constant(third)).numpy() == RECORDS[2]


@pytest.mark.parametrize("offset", [3, 10_000, -1])
def test_reading_inside_a_graph_gives_nothing_where_there_is_no_record(shard, offset):
    read = tf.function(shards.read_record_in_graph)
    assert read(tf.constant(str(shard)), tf.constant(offset, tf.int64)).numpy() == b""
    assert read(tf.constant("/no/such/file"), tf.constant(0, tf.int64)).numpy() == b""


def test_value_or_catches_errors_inside_a_graph():
    @tf.function
    def jpeg_size(data):
        def decode():
            return tf.shape(tf.io.decode_jpeg(data))[:2]

        return shards.value_or(decode, tf.constant([-1, -1]))

    image = tf.io.encode_jpeg(tf.zeros([3, 5, 3], tf.uint8))
    assert jpeg_size(image).numpy().tolist() == [3, 5]
    assert jpeg_size(tf.constant("no image")).numpy().tolist() == [-1, -1]


def test_offsets_follow_from_sizes(shard):
    sizes = [shards.framed_size(record) for record in RECORDS]
    assert shards.record_offsets(shard) == [0, sizes[0], sizes[0] + sizes[1]]
    assert shards.record_offsets(shard, first=sizes[0]) == [sizes[0], sizes[0] + sizes[1]]
    assert sum(sizes) == shard.stat().st_size


def test_there_is_nothing_behind_the_end(shard):
    with pytest.raises(shards.ShardError, match="videos-00000.tfrecord: record at byte .*empty"):
        shards.read_record(shard, shard.stat().st_size)


@pytest.mark.parametrize("kept", [3, 15, 24, -1])
def test_truncated_shard_is_named(shard, kept):
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(shards.ShardError, match="videos-00000.tfrecord is truncated"):
        shards.record_offsets(shard)


def test_flipped_bit_is_found_and_named(shard):
    data = bytearray(shard.read_bytes())
    data[-10] ^= 1
    shard.write_bytes(data)
    offsets = shards.record_offsets(shard)
    assert shards.read_record(shard, offsets[0]) == RECORDS[0]
    with pytest.raises(shards.ShardError, match="videos-00000.tfrecord: record at byte .*corrupt"):
        shards.read_record(shard, offsets[2])


def test_failed_writing_leaves_no_final_file(tmp_path):
    def records():
        yield b"one"
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        shards.write_shard(tmp_path / "videos-00000.tfrecord", records())
    assert not (tmp_path / "videos-00000.tfrecord").exists()
