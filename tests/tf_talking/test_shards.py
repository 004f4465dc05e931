import pytest
import tensorflow as tf

from tf_talking.data import shards

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


def test_reading_inside_a_graph(shard):
    read = tf.function(shards.read_record_in_graph)
    third = shards.record_offsets(shard)[2]
    assert read(tf.constant(str(shard)), tf.constant(third)).numpy() == RECORDS[2]
    with pytest.raises(tf.errors.InvalidArgumentError, match="00000.tfrecord: record at byte 3: "):
        read(tf.constant(str(shard)), tf.constant(3))


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
