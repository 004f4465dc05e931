import hashlib
import json

import pytest
import tensorflow as tf

from tests.tf_talking.dataset.made import INFO, make_record, rejected, write_folder
from tf_talking.config import get_preset
from tf_talking.dataset import folder as dataset_folder
from tf_talking.dataset import shards
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.writer import DatasetWriter


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
    with pytest.raises(ValueError, match="got video_id 'nobody', expected .* 3 videos .a, b, c"):
        data.read_video("nobody")


@pytest.mark.parametrize(("field", "value"), [("image_size", 32), ("detector", "face_alignment"), ("scheme", "gaze70")])
def test_records_made_for_another_model_are_refused(field, value):
    config = get_preset("tiny")  # 64 px, mediapipe, ibug68
    made_for = dict(INFO, image_size=64)
    dataset_folder.DatasetInfo(**made_for).check_made_for(config)
    with pytest.raises(ValueError, match=f"dataset: its {field} is {value!r}, the model's"):
        dataset_folder.DatasetInfo(**made_for | {field: value}).check_made_for(config)


def test_data_hash_follows_the_content(folder):
    before = DatasetFolder.open(folder).data_hash
    assert DatasetFolder.open(folder).data_hash == before
    DatasetWriter(folder, **INFO).write_shard([rejected("z")])
    assert DatasetFolder.open(folder).data_hash == before, "rejected inputs hold no data"
    DatasetWriter(folder, **INFO).write_shard([make_record("d")])
    assert DatasetFolder.open(folder).data_hash != before


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


def test_hash_of_a_folder_without_embeddings_is_what_it_was_before_there_were_any(tmp_path):
    write_folder(tmp_path / "data", [make_record("a", 2)])
    folder = DatasetFolder.open(tmp_path / "data")
    info = {"image_size": 16, "detector": "mediapipe", "scheme": "ibug68", "num_points": 68, "format_version": 1}
    text = json.dumps([info, ["a", "person of a", "videos-00000.tfrecord", 0, 2]])
    assert folder.data_hash == hashlib.sha256(text.encode()).hexdigest()[:16]
