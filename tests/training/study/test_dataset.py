"""Real frames of a study out of a dataset folder."""

import numpy as np
import pytest

from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.records import decode_frames
from tf_talking.media.photos import read_photo
from tf_talking.procedural import render as procedural
from tf_talking.procedural.folder import open_writer
from training.study.dataset import write_real_frames

SIZE = 32


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Person 0 has three videos of five frames, person 1 has two."""
    path = tmp_path_factory.mktemp("dataset")
    writer = open_writer(path, SIZE)
    videos = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    writer.write_shard([procedural.render_video(i, 5, SIZE, track) for i, track in videos])
    return DatasetFolder.open(path)


def test_frames_are_those_of_the_records(dataset, tmp_path):
    person = dataset.accepted[0].identity
    assert write_real_frames(dataset.path, tmp_path, 3) == {person: 3}
    folders = list((tmp_path / person / "real").iterdir())
    assert len(folders) == 3 and len(list(tmp_path.iterdir())) == 1
    for entry in dataset.accepted[:3]:
        folder = tmp_path / person / "real" / entry.video_id.replace("/", "_")
        files = sorted(folder.iterdir())
        assert [file.name for file in files] == [f"frame_{i:06d}.png" for i in (0, 2, 4)]
        expected = decode_frames(dataset.read_video(entry.video_id), np.array([0, 2, 4]))
        np.testing.assert_array_equal([read_photo(file) for file in files], expected)


def test_people_with_too_few_videos_are_named(dataset, tmp_path):
    few = dataset.accepted[-1].identity
    with pytest.raises(ValueError, match=f"2 videos of '{few}', expected at least 3"):
        write_real_frames(dataset.path, tmp_path, 3, [few])
    with pytest.raises(ValueError, match="0 videos of 'nobody', expected at least 3"):
        write_real_frames(dataset.path, tmp_path, 3, ["nobody"])
    with pytest.raises(FileNotFoundError, match="is not a dataset folder"):
        write_real_frames(str(tmp_path), tmp_path, 3)
