import json

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config import get_preset
from tf_talking.dataset import folder as dataset_folder
from tf_talking.dataset import records, shards
from tf_talking.dataset.folder import DatasetFolder, DatasetWriter, rejected_entry
from tf_talking.media import jpeg

JPEG = jpeg.encode(np.zeros((16, 16, 3), np.uint8))
INFO = dict(image_size=16, detector="mediapipe", scheme="ibug68", num_points=68)


def make_record(video_id: str, num_frames: int = 2, **changes) -> records.VideoRecord:
    fields = dict(
        video_id=video_id,
        identity=f"person of {video_id}",
        frames=[JPEG] * num_frames,
        landmarks=np.full((num_frames, 68, 2), num_frames, np.float32),
        image_size=16,
        detector="mediapipe",
        scheme="ibug68",
        source=f"in/{video_id}",
        rejected_frames={"no face": 1},
    )
    return records.VideoRecord(**(fields | changes))


@pytest.fixture
def folder(tmp_path):
    writer = DatasetWriter(tmp_path / "data", **INFO)
    writer.write_shard([make_record("a", 2), rejected_entry("in/x", "x", "x", "no face")])
    writer.write_shard([make_record("b", 3), make_record("c", 4)])
    writer.write_shard([rejected_entry("in/y", "y", "y", "several faces (2)")])
    return tmp_path / "data"


def test_written_videos_are_read_back(folder):
    data = DatasetFolder.open(folder)
    assert data.info == dataset_folder.DatasetInfo(**INFO)
    assert [entry.video_id for entry in data.accepted] == ["a", "b", "c"]
    assert [(e.shard, e.position, e.num_frames) for e in data.accepted] == [
        ("videos-00000.tfrecord", 0, 2),
        ("videos-00001.tfrecord", 0, 3),
        ("videos-00001.tfrecord", 1, 4),
    ]
    assert {e.video_id: e.reason for e in data.entries if e.status == "rejected"} == {
        "x": "no face",
        "y": "several faces (2)",
    }
    record = data.read_video("c")
    assert record.num_frames == 4 and record.landmarks[0, 0, 0] == 4
    with pytest.raises(KeyError, match="nobody"):
        data.read_video("nobody")


@pytest.mark.parametrize(
    ("field", "value"), [("image_size", 32), ("detector", "face_alignment"), ("scheme", "gaze70")]
)
def test_records_made_for_another_model_are_refused(field, value):
    config = get_preset("tiny")  # 64 px, mediapipe, ibug68
    made_for = dict(INFO, image_size=64)
    dataset_folder.DatasetInfo(**made_for).check_made_for(config)
    with pytest.raises(ValueError, match=f"--dataset: its {field} is {value!r}, the model's"):
        dataset_folder.DatasetInfo(**made_for | {field: value}).check_made_for(config)


def test_data_hash_follows_the_content(folder):
    before = DatasetFolder.open(folder).data_hash
    assert DatasetFolder.open(folder).data_hash == before
    DatasetWriter(folder, **INFO).write_shard([rejected_entry("in/z", "z", "z", "no face")])
    assert DatasetFolder.open(folder).data_hash == before, "rejected inputs hold no data"
    DatasetWriter(folder, **INFO).write_shard([make_record("d")])
    assert DatasetFolder.open(folder).data_hash != before


@pytest.mark.parametrize("kept_lines", [0, 1, 2, 3])
def test_kill_between_shard_and_manifest_is_repaired(folder, kept_lines):
    manifest = folder / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    expected = DatasetFolder.open(folder).accepted
    torn = lines[kept_lines][:20]
    manifest.write_bytes(b"".join(lines[:kept_lines]) + torn)
    (folder / "videos-00002.tfrecord.tmp").write_bytes(b"half a shard")
    assert len(DatasetFolder.open(folder).entries) == kept_lines, "a reader survives a torn line"

    writer = DatasetWriter(folder, **INFO)
    again = DatasetFolder.open(folder)
    assert again.accepted == expected
    assert again.entries == writer.entries
    assert again.read_video("c").num_frames == 4
    assert not list(folder.glob("*.tmp"))
    writer.write_shard([make_record("d")])
    assert DatasetFolder.open(folder).accepted[-1].shard == "videos-00002.tfrecord"


@pytest.mark.parametrize(
    "field, value", [("image_size", 32), ("detector", "face_alignment"), ("scheme", "ibug68_gaze")]
)
def test_mixing_is_refused(folder, field, value):
    with pytest.raises(ValueError, match=f"{field} is .* asked for is {value!r}"):
        DatasetWriter(folder, **(INFO | {field: value}))
    with pytest.raises(ValueError, match=f"{field}: got {value!r}"):
        DatasetWriter(folder, **INFO).write_shard([make_record("d", **{field: value})])
    assert not (folder / "videos-00002.tfrecord").exists()


def test_taken_video_id_is_refused(folder):
    with pytest.raises(ValueError, match="already holds a video 'a'"):
        DatasetWriter(folder, **INFO).write_shard([make_record("a")])
    with pytest.raises(ValueError, match="already holds a video 'new'"):
        DatasetWriter(folder, **INFO).write_shard([make_record("new"), make_record("new")])


def forget_offsets(folder) -> None:
    """Makes the manifest one of those that older versions wrote."""
    manifest = folder / "manifest.jsonl"
    entries = [json.loads(line) for line in manifest.read_text().splitlines()]
    for entry in entries:
        del entry["offset"]
    manifest.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_manifest_tells_where_each_record_starts(folder):
    data = DatasetFolder.open(folder)
    told = [data.location(entry) for entry in data.accepted]
    forget_offsets(folder)
    old = DatasetFolder.open(folder)
    assert [entry.offset for entry in old.accepted] == [None] * 3
    assert [old.location(entry) for entry in old.accepted] == told
    assert old.data_hash == data.data_hash
    assert old.read_video("c").num_frames == 4
    # The headers of a shard are read only where the manifest does not help.
    (folder / "videos-00001.tfrecord").unlink()
    assert data.location(data.accepted[2]) == told[2]
    with pytest.raises(FileNotFoundError):
        DatasetFolder.open(folder).location(old.accepted[2])


def test_damage_is_named(folder):
    shard = folder / "videos-00001.tfrecord"
    whole = shard.read_bytes()
    assert DatasetFolder.open(folder).find_damage() == {}
    for kept in (len(whole) - 5, 7):
        shard.write_bytes(whole[:kept])
        (name, message), *others = DatasetFolder.open(folder).find_damage().items()
        assert name == shard.name and "videos-00001.tfrecord is truncated" in message
        assert not others
    shard.unlink()
    assert "missing" in DatasetFolder.open(folder).find_damage()[shard.name]
    with pytest.raises(shards.ShardError, match="videos-00001.tfrecord: record at byte"):
        DatasetFolder.open(folder).read_video("c")
    shard.write_bytes((folder / "videos-00000.tfrecord").read_bytes())
    assert "truncated" in DatasetFolder.open(folder).find_damage()[shard.name]


def test_damage_in_an_older_folder_is_named(folder):
    forget_offsets(folder)
    shard = folder / "videos-00001.tfrecord"
    whole = shard.read_bytes()
    entry = DatasetFolder.open(folder).accepted[2]
    shard.write_bytes(whole[:-5])
    with pytest.raises(shards.ShardError, match="videos-00001.tfrecord is truncated"):
        DatasetFolder.open(folder).location(entry)
    assert list(DatasetFolder.open(folder).find_damage()) == [shard.name]
    shard.write_bytes((folder / "videos-00000.tfrecord").read_bytes())
    with pytest.raises(shards.ShardError, match="videos-00001.tfrecord: 1 records.*'c'"):
        DatasetFolder.open(folder).location(entry)


def test_unsound_descriptions_are_named(folder):
    (folder / "manifest.jsonl").write_text('{"colour": 1}\n')
    with pytest.raises(ValueError, match="manifest.jsonl, line 1"):
        DatasetFolder.open(folder)
    (folder / "dataset.json").write_text(json.dumps(INFO | {"format_version": 99}))
    with pytest.raises(ValueError, match="format_version 99, expected 1"):
        DatasetFolder.open(folder)
    with pytest.raises(FileNotFoundError, match="dataset.json"):
        DatasetFolder.open(folder.parent)


def test_reading_through_tensorflow_file_systems(folder):
    remote = "ram://dataset_folder/data"
    with pytest.raises(FileNotFoundError, match="ram://dataset_folder/data is not a dataset"):
        DatasetFolder.open(remote)
    for file in folder.iterdir():
        tf.io.gfile.copy(str(file), f"{remote}/{file.name}")
    data = DatasetFolder.open(remote)
    assert data.data_hash == DatasetFolder.open(folder).data_hash
    assert data.location(data.accepted[2])[0] == f"{remote}/videos-00001.tfrecord"
    assert data.read_video("c").num_frames == 4
    assert data.find_damage() == {}
    tf.io.gfile.remove(f"{remote}/videos-00001.tfrecord")
    assert list(data.find_damage()) == ["videos-00001.tfrecord"]
    with pytest.raises(shards.ShardError, match="ram://.*/videos-00001.tfrecord: record at byte"):
        data.read_video("c")


def test_older_folders_are_read_through_tensorflow_file_systems(folder):
    forget_offsets(folder)
    for file in folder.iterdir():
        tf.io.gfile.copy(str(file), f"ram://dataset_folder/older/{file.name}")
    data = DatasetFolder.open("ram://dataset_folder/older/")
    assert [data.location(entry)[1] for entry in data.accepted] == [
        DatasetFolder.open(folder).location(entry)[1] for entry in data.accepted
    ]
    assert data.read_video("c").num_frames == 4


def test_writing_to_another_file_system_is_refused():
    with pytest.raises(ValueError, match="gs://bucket/data: datasets are written to local folders"):
        DatasetWriter("gs://bucket/data", **INFO)


def test_inputs_of_a_deleted_shard_are_forgotten(folder):
    (folder / "videos-00001.tfrecord").unlink()
    writer = DatasetWriter(folder, **INFO)
    assert {entry.video_id for entry in writer.entries} == {"a", "x", "y"}
    assert DatasetFolder.open(folder).entries == writer.entries
    writer.write_shard([make_record("b", 3)])
    assert DatasetFolder.open(folder).read_video("b").num_frames == 3


def test_rejected_clips_survive_a_lost_manifest(tmp_path):
    clips = {"00002.mp4": "corrupt video after 3 frames"}
    writer = DatasetWriter(tmp_path / "data", **INFO)
    writer.write_shard([make_record("a", rejected_clips=clips)])
    (tmp_path / "data" / "manifest.jsonl").unlink()
    (entry,) = DatasetWriter(tmp_path / "data", **INFO).entries
    assert entry.rejected_clips == clips and entry == writer.entries[0]


def test_a_full_disk_is_an_error_that_leaves_nothing(folder, monkeypatch):
    import tensorflow as tf

    def full(shard, serialized):
        shard.with_name(f"{shard.name}.tmp").write_bytes(serialized[0][:10])
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(shards, "write_shard", full)
    before = DatasetFolder.open(folder).entries
    with pytest.raises(OSError, match="videos-00002.tfrecord could not be written, is the disk"):
        DatasetWriter(folder, **INFO).write_shard([make_record("d")])
    assert not list(folder.glob("*.tmp"))
    assert DatasetFolder.open(folder).entries == before
