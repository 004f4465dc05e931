"""Episodes of people of whom there are photos: their share, the copies, and whose face is known."""

import numpy as np
import pytest

from tests.tf_talking.dataset.made import INFO, SIZE, make_record
from tf_talking.dataset import records
from tf_talking.dataset.episodes import EpisodeDataset
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.media import jpeg

PHOTOS = [1, 2, 4]  # of persons 5, 6, 7; persons 0 to 4 have videos of 4 to 8 frames


def make_person(number: int, count: int, kind: str) -> records.VideoRecord:
    """Frames have a ramp to the right, landmarks and vectors name (person, frame)."""
    ramp = np.linspace(0, 240, SIZE).astype(np.uint8)
    frames = [np.broadcast_to(ramp[:, None, None], (SIZE, SIZE, 3)) // (k + 1) for k in range(count)]
    landmarks = np.zeros((count, 68, 2), np.float32)
    landmarks[..., 0], landmarks[..., 1] = number, np.arange(count)[:, None]
    vectors = np.stack([np.full(count, number), np.arange(count)] + [np.zeros(count)] * 126, axis=1)
    return make_record(
        f"v{number}",
        count,
        frames=[jpeg.encode(np.ascontiguousarray(frame)) for frame in frames],
        landmarks=landmarks,
        kind=kind,
        identity_vectors=vectors.astype(np.float32),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "data"
    people = [make_person(i, 4 + i, records.VIDEO) for i in range(5)]
    people += [make_person(5 + i, n, records.PHOTOS) for i, n in enumerate(PHOTOS)]
    writer = DatasetWriter(path, **INFO, borrowed_identity="sface")
    writer.write_shard(people)
    return path


def episodes_of(folder, batches: int, **options) -> list[dict]:
    options = {"k_shot": 3, "batch_size": 1, "seed": 1, "borrowed_identity": "sface"} | options
    data = EpisodeDataset(folder, **options).dataset()
    return [{k: v[0] for k, v in e.items()} for e in data.take(batches).as_numpy_iterator()]


def test_share_of_photos_is_exact_and_every_person_has_a_turn(folder):
    for share, expected in ((0.5, 20), (0.25, 10), (1.0, 40)):
        people = [int(e["video_index"]) for e in episodes_of(folder, 40, photo_share=share)]
        of_photos = [person for person in people if person >= 5]
        assert len(of_photos) == expected
        assert set(of_photos) == {5, 6, 7}
        counts = np.bincount(of_photos, minlength=8)[5:]
        assert counts.max() - counts.min() <= 1
        if share < 1:
            assert set(people) - set(of_photos) == {0, 1, 2, 3, 4}


def test_sources_are_changed_copies_of_the_target_and_all_differ(folder):
    for episode in episodes_of(folder, 12, photo_share=1.0):
        shown = [*episode["source_frames"], episode["target_frame"]]
        for i, first in enumerate(shown):
            for second in shown[i + 1 :]:
                assert np.abs(first.astype(int) - second).max() > 3
        # Landmarks move with the picture, so they no longer stand at the target's places.
        assert (episode["source_landmarks"] != episode["target_landmarks"]).any(axis=(1, 2)).all()


def test_known_faces_are_the_persons_other_photos_if_there_are_any(folder):
    seen = {5: set(), 6: set(), 7: set()}
    for episode in episodes_of(folder, 60, photo_share=1.0):
        person, target = episode["target_landmarks"][0]
        vectors = episode["source_identity"]
        assert vectors.shape == (3, 128) and (vectors[:, 0] == person).all()
        known = set(vectors[:, 1].astype(int))
        if person == 7:
            assert target not in known and len(known) == 3
        seen[int(person)] |= {(int(target), k) for k in known}
    assert seen[5] == {(0, 0)}
    assert {(0, 1), (1, 0)} <= seen[6]


def test_videos_have_the_vectors_of_their_source_frames(folder):
    for episode in episodes_of(folder, 10, photo_share=0.25):
        if episode["video_index"] < 5:
            numbers = episode["source_landmarks"][:, 0]
            np.testing.assert_array_equal(episode["source_identity"][:, :2], numbers)


def test_photos_without_a_share_are_frames_of_a_video(folder):
    data = EpisodeDataset(folder, k_shot=3, batch_size=1, seed=1, skip_short=True)
    assert [entry.video_id for entry in data.entries] == ["v0", "v1", "v2", "v3", "v4", "v7"]


def test_a_share_of_what_is_not_there_is_an_error(folder, tmp_path):
    DatasetWriter(tmp_path / "videos", **INFO).write_shard([make_record("v", 5)])
    with pytest.raises(ValueError, match="train.photo_share: got 0.5, but the data holds no photos"):
        EpisodeDataset(tmp_path / "videos", 3, 1, seed=1, photo_share=0.5)
    people = [f"person of v{i}" for i in range(5)]
    with pytest.raises(ValueError, match="photo_share: got 0.5, but the data holds no video"):
        EpisodeDataset(folder, 3, 1, seed=1, exclude_identities=people, photo_share=0.5)


def test_records_without_vectors_do_not_fit_a_folder_that_has_them(tmp_path):
    writer = DatasetWriter(tmp_path / "data", **INFO, borrowed_identity="sface")
    with pytest.raises(ValueError, match="record 'v', identity_vectors: expected those of 'sface'"):
        writer.write_shard([make_record("v")])
