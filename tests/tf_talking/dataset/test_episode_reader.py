"""Damaged data. The x of all landmarks is the number of the video."""

import json
import logging

import numpy as np
import pytest
import tensorflow as tf

from tests.tf_talking.dataset.made import SIZE, make_record, write_folder
from tf_talking.dataset import records, shards
from tf_talking.dataset.episodes import EpisodeDataset
from tf_talking.media import jpeg

VIDEOS, FRAMES = 6, 5
JPEG = jpeg.encode(np.full((SIZE, SIZE, 3), 90, np.uint8))


def make_video(video: int, **changes) -> records.VideoRecord:
    points = np.full((FRAMES, 68, 2), video, np.float32)
    return make_record(f"v{video}", FRAMES, **dict(frames=[JPEG] * FRAMES, landmarks=points) | changes)


@pytest.fixture
def folder(tmp_path):
    """Six videos, two a shard."""
    write_folder(tmp_path, [make_video(number) for number in range(VIDEOS)])
    return tmp_path


def open_folder(folder, on_damage: str = "skip") -> EpisodeDataset:
    return EpisodeDataset(folder, k_shot=2, batch_size=2, seed=4, on_damage=on_damage)


def take(episodes: EpisodeDataset, batches: int, **arguments) -> list[dict]:
    return list(episodes.dataset(**arguments).take(batches).as_numpy_iterator())


def flip_a_bit(folder, shard: int, record: int) -> None:
    path = folder / f"videos-{shard:05d}.tfrecord"
    data = bytearray(path.read_bytes())
    data[shards.record_offsets(path)[record] + 100] ^= 1
    path.write_bytes(data)


def replace_record(folder, shard: int, serialized: bytes) -> None:
    """Puts other bytes, of a right checksum, in the place of a shard's first record."""
    path = folder / f"videos-{shard:05d}.tfrecord"
    with tf.io.TFRecordWriter(str(path) + ".new") as writer:
        writer.write(serialized)
    new, old = (folder / f"{path.name}.new").read_bytes(), path.read_bytes()
    assert len(new) <= shards.record_offsets(path)[1]
    path.write_bytes(new + old[len(new) :])


def flip(folder):
    flip_a_bit(folder, 1, 0)


def no_example(folder):
    replace_record(folder, 1, b"\xff no Example")


def too_few_frames(folder):
    shorter = make_video(2, frames=[JPEG] * 3, landmarks=np.full((3, 68, 2), 2, np.float32))
    replace_record(folder, 1, records.serialize(shorter))


def too_few_points(folder):
    fewer = make_video(2, landmarks=np.full((FRAMES, 60, 2), 2, np.float32))
    replace_record(folder, 1, records.serialize(fewer))


def wrong_size(folder):
    small = jpeg.encode(np.full((SIZE // 2, SIZE // 2, 3), 90, np.uint8))
    replace_record(folder, 1, records.serialize(make_video(2, frames=[small] * FRAMES)))


def cut_jpeg(folder):
    replace_record(folder, 1, records.serialize(make_video(2, frames=[JPEG[:200]] * FRAMES)))


DAMAGE = {
    flip: "checksum",
    no_example: "not a video record",
    too_few_frames: "not a video record",
    too_few_points: "not a video record",
    wrong_size: "not a JPEG image of the size in dataset.json",
    cut_jpeg: "not a JPEG image",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_ends_the_stream_with_the_place_or_is_skipped_and_counted(folder, damage):
    sound = take(open_folder(folder), 9)
    damage(folder)
    place = r"videos-00001.tfrecord: record at byte 0 \(video 2\): .*" + DAMAGE[damage]
    with pytest.raises(tf.errors.InvalidArgumentError, match=place):
        take(open_folder(folder, "raise"), 9)
    skipped = take(open_folder(folder), 9)
    replaced = 0
    for expected, got in zip(sound, skipped, strict=True):
        for i in range(2):
            assert (got["source_landmarks"][i] == got["video_index"][i]).all()
            if expected["video_index"][i] == 2:
                assert got["video_index"][i] != 2 and got["skipped"][i] == 1
                assert got["source_frames"][i].any()
                replaced += 1
            else:
                assert got["skipped"][i] == 0
                for name in expected:
                    np.testing.assert_array_equal(got[name][i], expected[name][i])
    assert replaced == 3, "once in each of the three epochs"


def test_skipping_is_the_same_for_workers_and_resumed_runs(folder):
    flip_a_bit(folder, 0, 1)
    flip_a_bit(folder, 1, 1)
    (folder / "videos-00002.tfrecord").unlink()
    episodes = open_folder(folder)
    one = take(episodes, 12)
    assert {int(i) for batch in one for i in batch["video_index"]} == {0, 2}
    assert max(int(batch["skipped"].max()) for batch in one) > 1
    resumed = take(open_folder(folder), 4, start=16)
    workers = [take(episodes, 12, num_replicas=2, pipeline=p, num_pipelines=2) for p in (0, 1)]
    for name in one[0]:
        for expected, got in zip(one[8:], resumed, strict=True):
            np.testing.assert_array_equal(got[name], expected[name])
        for expected, first, second in zip(one, *workers, strict=True):
            both = np.concatenate([first[name], second[name]])
            np.testing.assert_array_equal(both, expected[name])


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("kept", [None, 100])
def test_missing_and_cut_shards_keep_the_index_of_their_videos(folder, caplog, older, kept):
    if older:
        manifest = folder / "manifest.jsonl"
        entries = [json.loads(line) for line in manifest.read_text().splitlines()]
        lines = [json.dumps({k: v for k, v in e.items() if k != "offset"}) for e in entries]
        manifest.write_text("\n".join(lines) + "\n")
    path = folder / "videos-00001.tfrecord"
    whole = path.read_bytes()
    path.unlink()
    if kept:
        path.write_bytes(whole[:kept])
    wrong = "truncated" if kept else "missing"
    with pytest.raises(shards.ShardError, match=f"00001.tfrecord is {wrong}"):
        open_folder(folder, "raise")
    with caplog.at_level(logging.WARNING):
        episodes = open_folder(folder)
    assert f"00001.tfrecord is {wrong}" in caplog.text
    assert episodes.num_videos == VIDEOS
    batches = take(episodes, 9)
    assert {int(i) for batch in batches for i in batch["video_index"]} == {0, 1, 4, 5}
    for batch in batches:
        assert (batch["target_landmarks"][:, 0, 0] == batch["video_index"]).all()
    assert sum(int(batch["skipped"].sum()) for batch in batches) >= 6
    # The shard comes back: nothing else changes.
    path.write_bytes(whole)
    assert open_folder(folder).data_hash == episodes.data_hash


def test_nothing_sound_is_an_error(folder):
    for shard in range(3):
        for record in range(2):
            flip_a_bit(folder, shard, record)
    with pytest.raises(tf.errors.InvalidArgumentError, match="last of 6 damaged records in a row"):
        take(open_folder(folder), 1)
    with pytest.raises(ValueError, match="on_damage: got 'ignore'"):
        open_folder(folder, "ignore")


def test_sound_data_counts_nothing(folder):
    batches = take(open_folder(folder), 6)
    assert sum(int(batch["skipped"].sum()) for batch in batches) == 0
    for expected, got in zip(take(open_folder(folder, "raise"), 6), batches, strict=True):
        assert "skipped" not in expected
        for name in expected:
            np.testing.assert_array_equal(got[name], expected[name])
