"""The program that writes procedural datasets."""

import numpy as np

from tests.commands import run_here
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.media import video_reader
from tf_talking.procedural import render as procedural


def test_program_writes_a_dataset_and_a_film(tmp_path):
    data, film = tmp_path / "data", tmp_path / "person.mp4"
    done = run_here(
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
    )
    assert done.returncode == 0, done.stderr
    folder = DatasetFolder.open(data)
    assert (folder.info.detector, folder.info.scheme, folder.info.num_points) == ("procedural", "ibug68", 68)
    people = [entry.identity for entry in folder.accepted]
    assert people == [f"procedural_{i:06d}" for i in range(20, 24) for _ in range(2)]
    # Worker processes give what this process gives.
    expected = procedural.render_video(23, 3, 64, track_seed=5001)
    found = folder.read_video(expected.video_id)
    assert found.frames == expected.frames
    np.testing.assert_array_equal(found.landmarks, expected.landmarks)
    frames = list(video_reader.read_frames(film))
    assert len(frames) == 3 and frames[0].shape == (512, 512, 3)


def test_nothing_to_do_is_a_usage_error():
    done = run_here("training.make_procedural")
    assert done.returncode == 2
    assert "give --output DIR" in done.stderr
