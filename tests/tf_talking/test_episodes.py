"""Frames are flat colours that encode (video, frame), and so are the landmarks."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.data import records, shards
from tf_talking.data.dataset_folder import DatasetFolder, DatasetWriter
from tf_talking.data.episodes import EpisodeDataset

SIZE = 16
FRAMES = [4, 5, 6, 7, 8]  # of videos 0..4
NOT_A_JPEG = b"\xff\xd8 no image"


def make_record(video: int, num_frames: int, broken=()) -> records.VideoRecord:
    frames, landmarks = [], np.zeros((num_frames, 68, 2), np.float32)
    for k in range(num_frames):
        frame = np.full((SIZE, SIZE, 3), 20 * k + 10, np.uint8)
        frames.append(NOT_A_JPEG if k in broken else records.encode_jpeg(frame))
        landmarks[k] = video, k
    return records.VideoRecord(
        f"v{video}", f"person{video % 4}", frames, landmarks, SIZE, "mediapipe", "ibug68", "src"
    )


def write_folder(path, videos) -> None:
    writer = DatasetWriter(path, SIZE, "mediapipe", "ibug68", 68)
    for first in range(0, len(videos), 2):
        writer.write_shard(videos[first : first + 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("episodes") / "data"
    write_folder(path, [make_record(i, n) for i, n in enumerate(FRAMES)])
    return path


def take(episodes: EpisodeDataset, batches: int, start: int = 0) -> list[dict]:
    return list(episodes.dataset(start).take(batches).as_numpy_iterator())


def test_batch_has_the_documented_shapes(folder):
    episodes = EpisodeDataset(folder, k_shot=3, batch_size=2, seed=1)
    spec = episodes.dataset().element_spec
    assert {name: (s.dtype, tuple(s.shape)) for name, s in spec.items()} == {
        "source_frames": (tf.uint8, (2, 3, SIZE, SIZE, 3)),
        "source_landmarks": (tf.float32, (2, 3, 68, 2)),
        "target_frame": (tf.uint8, (2, SIZE, SIZE, 3)),
        "target_landmarks": (tf.float32, (2, 68, 2)),
        "video_index": (tf.int32, (2,)),
    }
    assert episodes.num_videos == 5 and episodes.info.image_size == SIZE


def test_frames_are_distinct_of_one_video_and_match_their_landmarks(folder):
    drawn = set()
    for batch in take(EpisodeDataset(folder, k_shot=3, batch_size=2, seed=1), 50):
        marks = np.concatenate(
            [batch["source_landmarks"], batch["target_landmarks"][:, None]], axis=1
        )
        frames = np.concatenate([batch["source_frames"], batch["target_frame"][:, None]], axis=1)
        assert (marks[..., 0] == batch["video_index"][:, None, None]).all()
        numbers = marks[:, :, 0, 1].astype(int)
        for row in numbers:
            assert len(set(row)) == 4
        colour = 20 * numbers[:, :, None, None, None] + 10
        assert np.abs(frames.astype(int) - colour).max() <= 1
        drawn |= {(int(v), int(k)) for v, k in zip(batch["video_index"], numbers[:, -1],
                                                   strict=True)}  # fmt: skip
    # 100 episodes: nearly each of the 30 frames has been a target.
    assert len(drawn) > 22


def test_every_epoch_visits_every_video_once_in_its_own_order(folder):
    batches = take(EpisodeDataset(folder, k_shot=3, batch_size=3, seed=1), 20)
    order = np.concatenate([batch["video_index"] for batch in batches]).reshape(12, 5)
    assert (np.sort(order, axis=1) == np.arange(5)).all()
    assert len({tuple(epoch) for epoch in order}) > 6


def test_start_continues_exactly_where_an_uninterrupted_run_would_be(folder):
    whole = take(EpisodeDataset(folder, k_shot=3, batch_size=3, seed=1), 8)
    resumed = take(EpisodeDataset(folder, k_shot=3, batch_size=3, seed=1), 3, start=5 * 3)
    for expected, got in zip(whole[5:], resumed, strict=True):
        for name in expected:
            np.testing.assert_array_equal(got[name], expected[name])
    other = take(EpisodeDataset(folder, k_shot=3, batch_size=3, seed=2), 8)
    assert any(
        (a["target_landmarks"] != b["target_landmarks"]).any()
        for a, b in zip(whole, other, strict=True)
    )


def test_only_drawn_frames_are_decoded(tmp_path):
    seed = 3
    write_folder(tmp_path / "sound", [make_record(0, 8)])
    (batch,) = take(EpisodeDataset(tmp_path / "sound", 2, 1, seed), 1)
    used = {int(k) for k in batch["source_landmarks"][0, :, 0, 1]}
    used.add(int(batch["target_landmarks"][0, 0, 1]))
    unused = set(range(8)) - used

    write_folder(tmp_path / "unused", [make_record(0, 8, broken=unused)])
    (same,) = take(EpisodeDataset(tmp_path / "unused", 2, 1, seed), 1)
    np.testing.assert_array_equal(same["source_frames"], batch["source_frames"])
    write_folder(tmp_path / "used", [make_record(0, 8, broken=[min(used)])])
    with pytest.raises(tf.errors.InvalidArgumentError):
        take(EpisodeDataset(tmp_path / "used", 2, 1, seed), 1)


def test_people_can_be_left_out(folder):
    episodes = EpisodeDataset(folder, 3, 1, 1, exclude_identities=["person0"])  # videos 0 and 4
    assert [entry.video_id for entry in episodes.entries] == ["v1", "v2", "v3"]
    for batch in take(episodes, 6):
        assert 0 <= batch["video_index"][0] < 3
        assert batch["target_landmarks"][0, 0, 0] == batch["video_index"][0] + 1
    only = EpisodeDataset(folder, 3, 1, 1, include_identities=["person0", "person2"])
    assert [entry.video_id for entry in only.entries] == ["v0", "v2", "v4"]
    with pytest.raises(ValueError, match="'nobody'.*not in the data"):
        EpisodeDataset(folder, 3, 1, 1, exclude_identities=["nobody"])


def test_short_videos_are_listed_or_skipped(folder, caplog):
    with pytest.raises(ValueError, match=r"2 of 5 .* K\+1 = 6 frames: v0 \(4\), v1 \(5\)"):
        EpisodeDataset(folder, 5, 1, 1)
    with caplog.at_level(logging.WARNING):
        episodes = EpisodeDataset(folder, 5, 1, 1, skip_short=True)
    assert episodes.num_videos == 3 and "2 of 5 videos skipped" in caplog.text
    with pytest.raises(ValueError, match="no video"):
        EpisodeDataset(folder, 50, 1, 1, skip_short=True)


def test_several_folders_are_joined_if_they_match(folder, tmp_path):
    write_folder(tmp_path / "more", [make_record(9, 6)])
    episodes = EpisodeDataset([folder, tmp_path / "more"], 3, 1, 1)
    assert [entry.video_id for entry in episodes.entries][-1] == "v9"
    seen = {int(b["target_landmarks"][0, 0, 0]) for b in take(episodes, 6)}
    assert seen == {0, 1, 2, 3, 4, 9}
    DatasetWriter(tmp_path / "other", SIZE, "face_alignment", "ibug68", 68)
    with pytest.raises(ValueError, match="do not match.*face_alignment"):
        EpisodeDataset([folder, tmp_path / "other"], 3, 1, 1)


def test_damaged_shards_are_named(tmp_path):
    write_folder(tmp_path, [make_record(0, 8)])
    shard = tmp_path / DatasetFolder.open(tmp_path).accepted[0].shard
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    with pytest.raises(shards.ShardError, match="videos-00000.tfrecord is truncated"):
        EpisodeDataset(tmp_path, 3, 1, 1)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    shard.write_bytes(damaged)
    with pytest.raises(tf.errors.OpError, match="videos-00000.tfrecord: record at byte 0"):
        take(EpisodeDataset(tmp_path, 3, 1, 1), 1)


def test_a_process_ends_cleanly_in_the_middle_of_reading(folder, repo_root):
    """Background threads still prefetch at exit; they must not need the interpreter."""
    code = (
        "import sys\n"
        "from tf_talking.data.episodes import EpisodeDataset\n"
        "iterator = iter(EpisodeDataset(sys.argv[1], 3, 1, 0).dataset())\n"
        "for _ in range(20): next(iterator)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=repo_root)
    assert done.returncode == 0
