import json

import pytest

from tests.tf_talking.dataset.made import INFO, make_record
from tf_talking import files
from tf_talking.dataset.folder import DatasetFolder, rejected_entry
from tf_talking.dataset.records import Content
from tf_talking.dataset.writer import DatasetWriter, only_writer


@pytest.mark.parametrize("kept_lines", [0, 1, 2, 3])
def test_kill_between_shard_and_manifest_is_repaired(folder, kept_lines):
    manifest = folder / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    expected = DatasetFolder.open(folder).accepted
    torn = lines[kept_lines][:20]
    manifest.write_bytes(b"".join(lines[:kept_lines]) + torn)
    half = files.temporary_beside(folder / "videos-00002.tfrecord")
    half.write_bytes(b"half a shard")
    assert len(DatasetFolder.open(folder).entries) == kept_lines, "a reader survives a torn line"

    writer = DatasetWriter(folder, **INFO)
    again = DatasetFolder.open(folder)
    assert again.accepted == expected
    assert again.entries == writer.entries
    assert again.read_video("c").num_frames == 4
    assert not half.exists()
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


def test_a_record_of_other_content_or_person_replaces_the_one_before(folder):
    one, two = Content("s1", "d1"), Content("s2", "d2")
    writer = DatasetWriter(folder, **INFO)
    writer.write_shard([make_record("a", 5, content=one)])
    with pytest.raises(ValueError, match="already holds a video 'a'"):
        writer.write_shard([make_record("a", 6, content=one)])
    writer.write_shard([make_record("a", 7, content=one, identity="bob"), make_record("x", 4, content=two)])
    rejected = rejected_entry("in/a", "a", "bob", "corrupt", content=two)
    writer.write_shard([rejected])

    def check(data):
        assert [e.video_id for e in data.accepted] == ["b", "c", "a", "x"]
        assert (data.read_video("a").num_frames, data.accepted[2].identity) == (7, "bob")
        assert [e.video_id for e in data.entries] == ["b", "c", "y", "a", "x", "a"], "what was rejected is known"

    check(DatasetFolder.open(folder))
    assert DatasetWriter(folder, **INFO).entries == writer.entries == DatasetFolder.open(folder).entries
    # A lost manifest comes back with its content and its order.
    (folder / "manifest.jsonl").unlink()
    again = DatasetWriter(folder, **INFO)
    assert {e.video_id: e.content for e in again.entries} == {"b": None, "c": None, "a": one, "x": two}
    assert DatasetFolder.open(folder).read_video("a").num_frames == 7


def test_a_manifest_of_before_is_gone_on_with(folder):
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert all(line.pop("content") is None for line in lines)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    writer = DatasetWriter(folder, **INFO)
    writer.write_shard([make_record("a", 5, content=Content("s", "d"))])
    assert DatasetFolder.open(folder).read_video("a").num_frames == 5
    assert DatasetFolder.open(folder).read_video("b").num_frames == 3


def test_writing_to_another_file_system_is_refused():
    with pytest.raises(ValueError, match="gs://bucket/data: datasets are written to local folders"):
        DatasetWriter("gs://bucket/data", **INFO)


def test_two_processes_do_not_write_at_once(folder):
    with only_writer(folder):
        with pytest.raises(RuntimeError, match=f"dataset folder {folder}: process .* is at it already"):
            with only_writer(folder):
                pass
    assert not (folder / ".lock").exists()
    with pytest.raises(ValueError, match="gs://bucket/data: datasets are written to local folders"):
        only_writer("gs://bucket/data")


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


def test_a_full_disk_is_an_error_that_leaves_nothing(folder, full_disk):
    before, files_before = DatasetFolder.open(folder).entries, set(folder.iterdir())
    with pytest.raises(OSError, match="videos-00002.tfrecord could not be written, is the disk"):
        DatasetWriter(folder, **INFO).write_shard([make_record("d")])
    assert set(folder.iterdir()) == files_before
    assert DatasetFolder.open(folder).entries == before
