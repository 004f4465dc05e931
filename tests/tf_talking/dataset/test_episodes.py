"""Frames are flat colours that encode (video, frame), and so are the landmarks."""

import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.replicas import two_replicas
from tests.tf_talking.dataset.made import SIZE, make_record, write_folder
from tf_talking.dataset import records
from tf_talking.dataset.episodes import EpisodeDataset
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.media import jpeg

FRAMES = [4, 5, 6, 7, 8]  # of videos 0..4
NOT_A_JPEG = b"\xff\xd8 no image"


def make_video(video: int, num_frames: int, broken=()) -> records.VideoRecord:
    frames, landmarks = [], np.zeros((num_frames, 68, 2), np.float32)
    for k in range(num_frames):
        frame = np.full((SIZE, SIZE, 3), 20 * k + 10, np.uint8)
        frames.append(NOT_A_JPEG if k in broken else jpeg.encode(frame))
        landmarks[k] = video, k
    fields = dict(identity=f"person{video % 4}", frames=frames, landmarks=landmarks)
    return make_record(f"v{video}", num_frames, **fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("episodes") / "data"
    write_folder(path, [make_video(i, n) for i, n in enumerate(FRAMES)])
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
        marks = np.concatenate([batch["source_landmarks"], batch["target_landmarks"][:, None]], axis=1)
        frames = np.concatenate([batch["source_frames"], batch["target_frame"][:, None]], axis=1)
        assert (marks[..., 0] == batch["video_index"][:, None, None]).all()
        numbers = marks[:, :, 0, 1].astype(int)
        for row in numbers:
            assert len(set(row)) == 4
        colour = 20 * numbers[:, :, None, None, None] + 10
        assert np.abs(frames.astype(int) - colour).max() <= 1
        drawn |= {(int(v), int(k)) for v, k in zip(batch["video_index"], numbers[:, -1], strict=True)}
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
    assert any((a["target_landmarks"] != b["target_landmarks"]).any() for a, b in zip(whole, other, strict=True))


def joined(streams: list[list[dict]]) -> list[dict]:
    """Batches of replicas, in the order in which they are dealt, as one stream of episodes."""
    return [
        {name: value[i] for name, value in batch.items()}
        for step in zip(*streams, strict=True)
        for batches in step
        for batch in batches
        for i in range(len(batch["video_index"]))
    ]


def assert_equal_episodes(got: list[dict], expected: list[dict]) -> None:
    assert len(got) == len(expected) > 0
    for a, b in zip(got, expected, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("num_replicas, num_pipelines", [(2, 1), (2, 2), (4, 2), (4, 4)])
def test_workers_together_get_what_one_would(folder, num_replicas, num_pipelines):
    episodes, steps, start = EpisodeDataset(folder, 3, batch_size=8, seed=1), 3, 2 * 8
    one = episodes.dataset(start).take(steps).as_numpy_iterator()
    of_each = num_replicas // num_pipelines
    streams = []
    for pipeline in range(num_pipelines):
        dataset = episodes.dataset(start, num_replicas=num_replicas, pipeline=pipeline, num_pipelines=num_pipelines)
        assert dataset.element_spec["video_index"].shape == [8 // num_replicas]
        batches = list(dataset.take(steps * of_each).as_numpy_iterator())
        streams.append([batches[i : i + of_each] for i in range(0, len(batches), of_each)])
    assert_equal_episodes(joined(streams), joined([[[batch] for batch in one]]))


def test_a_worker_reads_nothing_of_another(folder, tmp_path):
    """With the videos that the other worker needs destroyed, a worker does not notice."""
    shutil.copytree(folder, tmp_path / "data")
    episodes = EpisodeDataset(tmp_path / "data", 3, batch_size=2, seed=1)
    mine, other = (
        episodes.dataset(num_replicas=2, pipeline=p, num_pipelines=2, parallel_reads=1, decode_threads=1).take(1)
        for p in (0, 1)
    )
    needed = {int(b["video_index"][0]) for b in mine}
    expected = next(mine.as_numpy_iterator())
    for index, entry in enumerate(episodes.entries):
        if index not in needed:
            with open(tmp_path / "data" / entry.shard, "r+b") as shard:
                shard.seek(entry.offset + 20)
                shard.write(b"destroyed")
    with pytest.raises(tf.errors.InvalidArgumentError, match="checksum"):
        list(other)
    # One pipeline without look-ahead: nothing but the first episode is asked for.
    assert_equal_episodes([next(mine.as_numpy_iterator())], [expected])


def test_distribution_strategy_hands_each_replica_its_share(folder):
    episodes = EpisodeDataset(folder, 3, batch_size=4, seed=1)
    strategy = two_replicas()

    def make(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return episodes.dataset(
            num_replicas=context.num_replicas_in_sync,
            pipeline=context.input_pipeline_id,
            num_pipelines=context.num_input_pipelines,
        )

    iterator = iter(strategy.distribute_datasets_from_function(make))
    for batch in take(episodes, 3):
        shares = strategy.experimental_local_results(next(iterator)["target_landmarks"])
        np.testing.assert_array_equal(shares[0], batch["target_landmarks"][:2])
        np.testing.assert_array_equal(shares[1], batch["target_landmarks"][2:])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(start=-1), "start: got -1"),
        (dict(num_replicas=3), "batch_size: got 8, expected a multiple of the 3 replicas"),
        (dict(num_replicas=4, num_pipelines=3), "pipeline 0 of 3 for 4 replicas"),
        (dict(num_replicas=2, num_pipelines=2, pipeline=2), "pipeline 2 of 2 for 2 replicas"),
    ],
)
def test_impossible_divisions_are_refused(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        EpisodeDataset(folder, 3, batch_size=8, seed=1).dataset(**arguments)


def test_options_for_speed_change_no_episode(folder):
    episodes = EpisodeDataset(folder, k_shot=3, batch_size=2, seed=1)
    expected = joined([[[batch] for batch in take(episodes, 10)]])
    narrow = episodes.dataset(parallel_reads=1, decode_threads=1, pool_threads=1)
    got = list(narrow.take(10).as_numpy_iterator())
    assert_equal_episodes(joined([[[batch] for batch in got]]), expected)
    # Out of order: still episodes of the stream, none twice.
    free = episodes.dataset(deterministic=False).take(10).as_numpy_iterator()
    key = lambda e: (int(e["video_index"]), e["source_landmarks"].tobytes())  # noqa: E731
    known = [key(e) for e in joined([[[batch] for batch in take(episodes, 200)]])]
    loose = [key(e) for e in joined([[[batch] for batch in free]])]
    assert len(loose) == 20 and set(loose) <= set(known)
    assert all(loose.count(k) <= known.count(k) for k in loose)


def test_only_drawn_frames_are_decoded(tmp_path):
    seed = 3
    write_folder(tmp_path / "sound", [make_video(0, 8)])
    (batch,) = take(EpisodeDataset(tmp_path / "sound", 2, 1, seed), 1)
    used = {int(k) for k in batch["source_landmarks"][0, :, 0, 1]}
    used.add(int(batch["target_landmarks"][0, 0, 1]))
    unused = set(range(8)) - used

    write_folder(tmp_path / "unused", [make_video(0, 8, broken=unused)])
    (same,) = take(EpisodeDataset(tmp_path / "unused", 2, 1, seed), 1)
    np.testing.assert_array_equal(same["source_frames"], batch["source_frames"])
    write_folder(tmp_path / "used", [make_video(0, 8, broken=[min(used)])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="record at byte 0 .*not a JPEG"):
        take(EpisodeDataset(tmp_path / "used", 2, 1, seed), 1)


def test_people_can_be_left_out(folder):
    episodes = EpisodeDataset(folder, 3, 1, 1, exclude_identities=["person0"])  # videos 0 and 4
    assert [entry.video_id for entry in episodes.entries] == ["v1", "v2", "v3"]
    for batch in take(episodes, 6):
        assert 0 <= batch["video_index"][0] < 3
        assert batch["target_landmarks"][0, 0, 0] == batch["video_index"][0] + 1
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
    write_folder(tmp_path / "more", [make_video(9, 6)])
    episodes = EpisodeDataset([folder, tmp_path / "more"], 3, 1, 1)
    assert [entry.video_id for entry in episodes.entries][-1] == "v9"
    seen = {int(b["target_landmarks"][0, 0, 0]) for b in take(episodes, 6)}
    assert seen == {0, 1, 2, 3, 4, 9}
    DatasetWriter(tmp_path / "other", SIZE, "face_alignment", "ibug68", 68)
    with pytest.raises(ValueError, match="do not match.*face_alignment"):
        EpisodeDataset([folder, tmp_path / "other"], 3, 1, 1)


def test_reading_through_tensorflow_file_systems(folder):
    for file in folder.iterdir():
        tf.io.gfile.copy(str(file), f"ram://episodes/data/{file.name}")
    remote = EpisodeDataset("ram://episodes/data", k_shot=3, batch_size=2, seed=1)
    local = EpisodeDataset(folder, k_shot=3, batch_size=2, seed=1)
    assert remote.data_hash == local.data_hash
    for got, expected in zip(take(remote, 5), take(local, 5), strict=True):
        np.testing.assert_array_equal(got["source_frames"], expected["source_frames"])


def test_a_process_ends_cleanly_in_the_middle_of_reading(folder, repo_root):
    """Background threads still prefetch at exit; they must not need the interpreter."""
    code = (
        "import sys\n"
        "from tf_talking.dataset.episodes import EpisodeDataset\n"
        "iterator = iter(EpisodeDataset(sys.argv[1], 3, 1, 0).dataset())\n"
        "for _ in range(20): next(iterator)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=repo_root)
    assert done.returncode == 0


def test_augmented_episodes_are_those_of_their_numbers_wherever_one_starts(folder):
    options = dict(k_shot=3, batch_size=2, seed=1)
    plain = take(EpisodeDataset(folder, **options), 4)
    episodes = EpisodeDataset(folder, mirror=True, color_jitter=0.3, **options)
    whole = take(episodes, 4)
    resumed = take(episodes, 2, start=4)
    for batch, again in zip(whole[2:], resumed, strict=True):
        for name in batch:
            np.testing.assert_array_equal(batch[name], again[name])
    changed = 0
    for batch, before in zip(whole, plain, strict=True):
        np.testing.assert_array_equal(batch["video_index"], before["video_index"])
        changed += (batch["target_frame"] != before["target_frame"]).any()
    assert changed
