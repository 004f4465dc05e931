import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.tf_talking.dataset.made import make_record
from tf_talking.dataset import records
from tf_talking.media import jpeg


def make(**changes) -> records.VideoRecord:
    rng = np.random.default_rng(0)
    fields = dict(
        identity="7",
        frames=[jpeg.encode(np.full((16, 16, 3), 40 * k, np.uint8)) for k in range(3)],
        landmarks=rng.normal(8, 4, (3, 68, 2)).astype(np.float32),
        rejected_frames={"no face": 2},
    )
    return make_record("clips/ä.mp4", **fields | changes)


def test_round_trip_keeps_every_field():
    record = make()
    again = records.deserialize(records.serialize(record))
    assert again.landmarks.dtype == np.float32
    np.testing.assert_array_equal(again.landmarks, record.landmarks)
    for field in ("video_id", "identity", "frames", "image_size", "detector", "scheme", "source", "rejected_frames"):
        assert getattr(again, field) == getattr(record, field), field


def test_parse_example_in_a_graph():
    parse = tf.function(records.parse_example, input_signature=[tf.TensorSpec([], tf.string)])
    record = make()
    parsed = parse(records.serialize(record))
    assert parsed["frames"].shape == (3,)
    np.testing.assert_array_equal(parsed["landmarks"], record.landmarks)
    assert parsed["identity"].numpy() == b"7"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"identity": ""}, "identity"),
        ({"frames": []}, "0 frames and 3 rows"),
        ({"landmarks": np.zeros((3, 68, 2))}, "got float64"),
        ({"landmarks": np.full((3, 68, 2), np.nan, np.float32)}, "finite"),
    ],
)
def test_contradictory_records_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        records.serialize(make(**changes))


def test_foreign_bytes_are_refused():
    with pytest.raises(ValueError, match="not a video record"):
        records.deserialize(b"no example at all")
    with pytest.raises(ValueError, match="not a video record"):
        records.deserialize(tf.train.Example().SerializeToString())


def test_import_does_not_load_tensorflow(repo_root):
    code = (
        "import sys, tf_talking.dataset.records, tf_talking.dataset.shards\n"
        "import tf_talking.dataset.folder, tf_talking.media.video_writer\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repo_root, check=True)


def test_kind_and_identity_vectors_come_back():
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    record = make_record("v", kind=records.PHOTOS, identity_vectors=vectors)
    back = records.deserialize(records.serialize(record))
    assert back.kind == "photos"
    np.testing.assert_array_equal(back.identity_vectors, vectors)
    plain = records.deserialize(records.serialize(make_record("v")))
    assert plain.kind == "video" and plain.identity_vectors is None


@pytest.mark.parametrize("field, value", [("kind", "film"), ("identity_vectors", np.zeros((3, 4), np.float32))])
def test_wrong_kind_or_number_of_vectors_names_the_field(field, value):
    with pytest.raises(ValueError, match=f"record 'v', {field}: got"):
        records.serialize(make_record("v", **{field: value}))
