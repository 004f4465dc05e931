import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.dataset import records


def make_record(**changes) -> records.VideoRecord:
    rng = np.random.default_rng(0)
    fields = dict(
        video_id="clips/ä.mp4",
        identity="7",
        frames=[records.encode_jpeg(np.full((16, 16, 3), 40 * k, np.uint8)) for k in range(3)],
        landmarks=rng.normal(8, 4, (3, 68, 2)).astype(np.float32),
        image_size=16,
        detector="mediapipe",
        scheme="ibug68",
        source="some/ä.mp4",
        rejected_frames={"no face": 2},
    )
    return records.VideoRecord(**(fields | changes))


def test_round_trip_keeps_every_field():
    record = make_record()
    again = records.deserialize(records.serialize(record))
    assert again.landmarks.dtype == np.float32
    np.testing.assert_array_equal(again.landmarks, record.landmarks)
    for field in (
        "video_id",
        "identity",
        "frames",
        "image_size",
        "detector",
        "scheme",
        "source",
        "rejected_frames",
    ):
        assert getattr(again, field) == getattr(record, field), field


def test_parse_example_in_a_graph():
    parse = tf.function(records.parse_example, input_signature=[tf.TensorSpec([], tf.string)])
    record = make_record()
    parsed = parse(records.serialize(record))
    assert parsed["frames"].shape == (3,)
    np.testing.assert_array_equal(parsed["landmarks"], record.landmarks)
    assert parsed["identity"].numpy() == b"7"


def test_jpeg_keeps_channel_order_and_agrees_with_tensorflow():
    rows, columns = np.mgrid[0:64, 0:64]
    frame = np.stack([rows * 4, columns * 4, 255 - rows * 2 - columns * 2], -1).astype(np.uint8)
    data = records.encode_jpeg(frame)
    ours, theirs = records.decode_jpeg(data), tf.io.decode_jpeg(data).numpy()
    assert np.abs(ours.astype(int) - frame).mean() < 3
    assert np.abs(theirs.astype(int) - frame).mean() < 3


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
        records.serialize(make_record(**changes))


def test_foreign_bytes_are_refused():
    with pytest.raises(ValueError, match="not a video record"):
        records.deserialize(b"no example at all")
    with pytest.raises(ValueError, match="not a video record"):
        records.deserialize(tf.train.Example().SerializeToString())


def test_frames_and_images_of_the_wrong_kind_are_refused():
    with pytest.raises(ValueError, match="float64"):
        records.encode_jpeg(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="0 bytes"):
        records.decode_jpeg(b"")
    with pytest.raises(ValueError, match="can not decode"):
        records.decode_jpeg(b"text")


def test_import_does_not_load_tensorflow(repo_root):
    code = (
        "import sys, tf_talking.dataset.records, tf_talking.dataset.shards\n"
        "import tf_talking.dataset.folder, tf_talking.media.video\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=repo_root, check=True)
