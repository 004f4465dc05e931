import numpy as np
import pytest

from tf_talking.dataset import parts as dataset_parts
from tf_talking.dataset import records, shards
from tf_talking.dataset.folder import DatasetFolder, DatasetWriter, rejected_entry
from tf_talking.dataset.parts import write_part
from tf_talking.media import jpeg

JPEG = jpeg.encode(np.zeros((16, 16, 3), np.uint8))
INFO = dict(image_size=16, detector="mediapipe", scheme="ibug68", num_points=68)


def make_record(video_id: str, num_frames: int) -> records.VideoRecord:
    landmarks = np.full((num_frames, 68, 2), num_frames, np.float32)
    return records.VideoRecord(
        video_id,
        f"person of {video_id}",
        [JPEG] * num_frames,
        landmarks,
        16,
        "mediapipe",
        "ibug68",
        f"in/{video_id}",
    )


def rejected(video_id: str):
    return rejected_entry(f"in/{video_id}", video_id, video_id, "no face")


def merged(folder) -> DatasetWriter:
    writer = DatasetWriter(folder, **INFO)
    dataset_parts.merge_parts(writer)
    return writer


@pytest.fixture
def folder(tmp_path):
    writer = DatasetWriter(tmp_path / "data", **INFO)
    writer.write_shard([make_record("a", 2), rejected("x")])
    writer.write_shard([make_record("b", 3), make_record("c", 4)])
    writer.write_shard([rejected("y")])
    return tmp_path / "data"


def result_ids(writer) -> dict[str, str]:
    return {entry.video_id: entry.status for entry in writer.entries}


def test_parts_become_shards_of_the_dataset(folder):
    before = DatasetFolder.open(folder)
    write_part(folder, "k1", [make_record("d", 5), rejected("z")])
    write_part(folder, "k2", [rejected("w")])
    assert dataset_parts.part_keys(folder) == {"k1", "k2"}
    assert DatasetFolder.open(folder).entries == before.entries, "parts are not read"
    writer = merged(folder)
    assert result_ids(writer) == {
        "a": "accepted",
        "b": "accepted",
        "c": "accepted",
        "d": "accepted",
        "x": "rejected",
        "y": "rejected",
        "z": "rejected",
        "w": "rejected",
    }
    data = DatasetFolder.open(folder)
    assert data.entries == writer.entries and data.accepted[:3] == before.accepted
    assert data.read_video("d").num_frames == 5
    assert data.accepted[-1].shard == "videos-00002.tfrecord"
    assert not list((folder / "parts").iterdir())


def test_repeated_and_overlapping_parts_change_nothing(folder):
    write_part(folder, "k1", [make_record("d", 5)])
    write_part(folder, "k1", [make_record("d", 5)])
    write_part(folder, "k2", [make_record("e", 6), make_record("d", 5)])
    write_part(folder, "k3", [make_record("a", 2), rejected("x")])
    writer = merged(folder)
    data = DatasetFolder.open(folder)
    assert [entry.video_id for entry in data.accepted] == ["a", "b", "c", "d", "e"]
    assert data.read_video("e").num_frames == 6 and data.read_video("d").num_frames == 5
    assert len(writer.entries) == 7 and merged(folder).entries == writer.entries


@pytest.mark.parametrize("killed", ["before the lines", "after the rename", "after the manifest"])
def test_kill_while_parts_are_written_or_merged(folder, killed):
    parts = folder / "parts"
    write_part(folder, "k1", [rejected("z"), make_record("d", 5)])
    lines = (parts / "k1.jsonl").read_bytes()
    if killed == "before the lines":
        (parts / "k1.jsonl").unlink()
        (parts / "k2.1.2.tfrecord.tmp").write_bytes(b"half")
    else:
        (parts / "k1.tfrecord").rename(folder / "videos-00002.tfrecord")
        if killed == "after the manifest":
            merged(folder)
            (parts / "k1.jsonl").write_bytes(lines)
    writer = merged(folder)
    found = {"d", "z"} & result_ids(writer).keys()
    assert found == (set() if killed == "before the lines" else {"d", "z"})
    assert len(writer.entries) == 5 + len(found)
    assert not list(parts.iterdir())
    assert DatasetFolder.open(folder).entries == writer.entries


def test_a_full_disk_leaves_no_part(folder, monkeypatch):
    def full(shard, serialized):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards, "write_shard", full)
    with pytest.raises(OSError, match="is the disk full.*No space left"):
        write_part(folder, "k", [make_record("d", 2)])
    assert not list((folder / "parts").iterdir())


def test_the_key_follows_from_the_inputs():
    assert dataset_parts.part_key(["a", "b"]) == dataset_parts.part_key(["a", "b"])
    assert len({dataset_parts.part_key(ids) for ids in (["a", "b"], ["b", "a"], ["ab"])}) == 3
