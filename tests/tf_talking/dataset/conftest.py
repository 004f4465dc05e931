import pytest

from tests.tf_talking.dataset.made import INFO, make_record, rejected
from tf_talking.dataset.writer import DatasetWriter


@pytest.fixture
def folder(tmp_path):
    """Videos a; b, c in shards of theirs, with 2, 3 and 4 frames; inputs x and y were rejected."""
    writer = DatasetWriter(tmp_path / "data", **INFO)
    writer.write_shard([make_record("a", 2), rejected("x")])
    writer.write_shard([make_record("b", 3), make_record("c", 4)])
    writer.write_shard([rejected("y", "several faces (2)")])
    return tmp_path / "data"


@pytest.fixture
def full_disk(monkeypatch):
    """From now on shards can be begun, not written."""
    import tensorflow as tf

    def full(writer, record):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.io.TFRecordWriter, "write", full)
