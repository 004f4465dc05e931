"""The program that writes procedural datasets: whole, resumable, the same with any workers."""

import subprocess
import sys

import numpy as np
import pytest

from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.media import video
from tf_talking.procedural import render as procedural
from training import make_procedural


def open_writer(path, size=64):
    return DatasetWriter(path, size, procedural.DETECTOR, procedural.SCHEME, procedural.NUM_POINTS)


def test_program_writes_a_dataset_and_a_film(tmp_path, repo_root):
    data, film = tmp_path / "data", tmp_path / "person.mp4"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "training.make_procedural",
            f"--output={data}",
            f"--video={film}",
            "--num_identities=4",
            "--first_identity=20",
            "--videos_per_identity=2",
            "--frames_per_video=3",
            "--image_size=64",
            "--seed=5",
            "--workers=2",
        ],
        cwd=repo_root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    folder = DatasetFolder.open(data)
    assert (folder.info.detector, folder.info.scheme, folder.info.num_points) == (
        "procedural",
        "ibug68",
        68,
    )
    people = [entry.identity for entry in folder.accepted]
    assert people == [f"procedural_{i:06d}" for i in range(20, 24) for _ in range(2)]
    # Worker processes give what this process gives.
    expected = procedural.render_video(23, 3, 64, track_seed=5001)
    found = folder.read_video(expected.video_id)
    assert found.frames == expected.frames
    np.testing.assert_array_equal(found.landmarks, expected.landmarks)
    frames = list(video.read_frames(film))
    assert len(frames) == 3 and frames[0].shape == (512, 512, 3)


def test_second_run_makes_only_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(make_procedural, "VIDEOS_PER_SHARD", 2)
    jobs = make_procedural.list_jobs(range(3), 1, 2, 64, 0)
    assert make_procedural.make_dataset(open_writer(tmp_path), jobs, 1) == 3
    assert len(list(tmp_path.glob("videos-*.tfrecord"))) == 2
    assert make_procedural.make_dataset(open_writer(tmp_path), jobs, 1) == 0
    (tmp_path / "videos-00000.tfrecord").unlink()
    assert make_procedural.make_dataset(open_writer(tmp_path), jobs, 1) == 2
    more = make_procedural.list_jobs(range(4), 1, 2, 64, 0)
    assert make_procedural.make_dataset(open_writer(tmp_path), more, 1) == 1
    folder = DatasetFolder.open(tmp_path)
    assert sorted(e.identity for e in folder.accepted) == [f"procedural_{i:06d}" for i in range(4)]


def test_other_length_in_an_existing_folder_is_an_error(tmp_path):
    make_procedural.make_dataset(
        open_writer(tmp_path), make_procedural.list_jobs(range(1), 1, 2, 64, 0), 1
    )
    jobs = make_procedural.list_jobs(range(1), 1, 3, 64, 0)
    with pytest.raises(ValueError, match="2 frames, asked for are 3"):
        make_procedural.make_dataset(open_writer(tmp_path), jobs, 1)


def test_nothing_to_do_is_a_usage_error(repo_root):
    done = subprocess.run(
        [sys.executable, "-m", "training.make_procedural"],
        cwd=repo_root,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "give --output DIR" in done.stderr + done.stdout
