"""Folders of procedural people: whole, resumable."""

import pytest

from tf_talking.dataset.folder import DatasetFolder
from tf_talking.procedural import folder


def test_second_run_makes_only_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "VIDEOS_PER_SHARD", 2)
    jobs = folder.list_jobs(range(3), 1, 2, 64, 0)
    assert folder.make_dataset(folder.open_writer(tmp_path, 64), jobs, 1) == 3
    assert len(list(tmp_path.glob("videos-*.tfrecord"))) == 2
    assert folder.make_dataset(folder.open_writer(tmp_path, 64), jobs, 1) == 0
    (tmp_path / "videos-00000.tfrecord").unlink()
    assert folder.make_dataset(folder.open_writer(tmp_path, 64), jobs, 1) == 2
    more = folder.list_jobs(range(4), 1, 2, 64, 0)
    assert folder.make_dataset(folder.open_writer(tmp_path, 64), more, 1) == 1
    accepted = DatasetFolder.open(tmp_path).accepted
    assert sorted(e.identity for e in accepted) == [f"procedural_{i:06d}" for i in range(4)]


def test_other_length_in_an_existing_folder_is_an_error(tmp_path):
    folder.make_dataset(folder.open_writer(tmp_path, 64), folder.list_jobs(range(1), 1, 2, 64, 0), 1)
    jobs = folder.list_jobs(range(1), 1, 3, 64, 0)
    with pytest.raises(ValueError, match="2 frames, asked for are 3"):
        folder.make_dataset(folder.open_writer(tmp_path, 64), jobs, 1)
