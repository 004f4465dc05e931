import pytest

from tests.tf_talking.dataset.made import INFO, make_record, rejected
from tf_talking import files
from tf_talking.dataset import parts as dataset_parts
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.parts import write_part
from tf_talking.dataset.records import Content
from tf_talking.dataset.writer import DatasetWriter


def merged(folder) -> DatasetWriter:
    writer = DatasetWriter(folder, **INFO)
    dataset_parts.merge_parts(writer)
    return writer


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


def test_a_part_with_other_content_replaces_a_video(folder):
    content = Content("s", "d")
    for _ in range(2):
        write_part(folder, "k1", [make_record("a", 5, content=content), rejected("x")])
        merged(folder)
    data = DatasetFolder.open(folder)
    assert data.read_video("a").num_frames == 5
    assert [e.video_id for e in DatasetWriter(folder, **INFO).lines].count("a") == 2


@pytest.mark.parametrize("killed", ["before the lines", "after the rename", "after the manifest"])
def test_kill_while_parts_are_written_or_merged(folder, killed):
    parts = folder / "parts"
    write_part(folder, "k1", [rejected("z"), make_record("d", 5)])
    lines = (parts / "k1.jsonl").read_bytes()
    if killed == "before the lines":
        (parts / "k1.jsonl").unlink()
        files.temporary_beside(parts / "k2.tfrecord").write_bytes(b"half")
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


def test_a_full_disk_leaves_no_part(folder, full_disk):
    with pytest.raises(OSError, match="is the disk full.*No space left"):
        write_part(folder, "k", [make_record("d", 2)])
    assert not list((folder / "parts").iterdir())


def test_the_key_follows_from_the_inputs():
    assert dataset_parts.part_key(["a", "b"]) == dataset_parts.part_key(["a", "b"])
    assert len({dataset_parts.part_key(ids) for ids in (["a", "b"], ["b", "a"], ["ab"])}) == 3
