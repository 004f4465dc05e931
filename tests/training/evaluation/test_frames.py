"""Which frames and videos are evaluated."""

import json

import numpy as np
import pytest

from tf_talking.dataset.folder import ACCEPTED, DatasetFolder, DatasetInfo, ManifestEntry
from training.evaluation.frames import choose_frames, held_out_entries, split_videos


@pytest.mark.parametrize("order", ["spread", "consecutive"])
@pytest.mark.parametrize("num_frames", [64, 65, 90, 120, 1000])
def test_few_shot_and_hold_out_frames_never_overlap(num_frames, order):
    shots, holdout = choose_frames(num_frames, (1, 8, 32), 32, order)
    assert len(set(holdout)) == 32 and holdout.max() < num_frames
    for t, chosen in shots.items():
        assert len(set(chosen)) == t and chosen.min() >= 0
        assert chosen.max() < holdout.min()  # two parts, not only two sets


def test_frames_by_hand():
    shots, holdout = choose_frames(100, (1, 3), 5)
    np.testing.assert_array_equal(shots[3], [0, 24, 49])
    np.testing.assert_array_equal(shots[1], [49])
    np.testing.assert_array_equal(holdout, [50, 62, 74, 87, 99])
    np.testing.assert_array_equal(choose_frames(100, (3,), 5, "consecutive")[1], range(50, 55))
    # Too few frames for a cut in the middle: it moves as far as T or the hold-out frames need.
    assert choose_frames(10, (7,), 3)[1].tolist() == [7, 8, 9]
    assert choose_frames(10, (1,), 8)[1].tolist() == list(range(2, 10))


def test_every_t_is_as_near_in_time_to_the_hold_out_frames():
    for num_frames in (40, 77, 500):
        shots, holdout = choose_frames(num_frames, (1, 2, 8, 32), 8)
        assert {holdout.min() - chosen.max() for chosen in shots.values()} == {1}


def test_short_videos_are_left_out_with_the_reason():
    entries = [entry("long", "a", 64), entry("short", "b", 63)]
    videos, left_out = split_videos(entries, (1, 32), 32, "spread")
    assert [v.entry.video_id for v in videos] == ["long"]
    assert left_out == {"short": "63 frames, expected at least 64 (T = 32 and 32 hold-out frames)"}
    with pytest.raises(ValueError, match="none of 1 videos can be evaluated; short: 63 frames"):
        split_videos(entries[1:], (1, 32), 32, "spread")


def test_few_shot_frames_of_the_persons_next_video():
    entries = [entry("a1", "a", 20), entry("b1", "b", 20), entry("a2", "a", 9), entry("a3", "a")]
    videos, left_out = split_videos(entries, (1, 8), 4, "spread", "other")
    assert [(v.entry.video_id, v.source.video_id) for v in videos] == [("a1", "a2"), ("a3", "a1")]
    np.testing.assert_array_equal(videos[0].shots[8], [0, 1, 2, 3, 5, 6, 7, 8])
    np.testing.assert_array_equal(videos[0].holdout, choose_frames(20, (1, 8), 4)[1])
    assert left_out["b1"] == "no other video of b to take few-shot frames from"
    assert "9 frames" in left_out["a2"]


def entry(video_id, identity, num_frames=100, position=0):
    return ManifestEntry(video_id, video_id, identity, ACCEPTED, shard="s", position=position, num_frames=num_frames)


@pytest.fixture
def folder():
    entries = [entry(f"v{i}", f"p{i // 2}", position=i) for i in range(8)]
    return DatasetFolder("folder", DatasetInfo(32, "procedural", "ibug68", 68), entries)


def test_held_out_videos_by_person_and_by_name(folder):
    def ids(*args):
        return [e.video_id for e in held_out_entries(folder, *args)]

    assert ids(["p1"], [], 50, 0) == ["v2", "v3"]
    assert ids(["p3"], ["v0", "v6"], 50, 0) == ["v0", "v6", "v7"]
    drawn = [ids(["p0", "p1", "p2", "p3"], [], 3, seed) for seed in range(20)]
    assert all(len(set(d)) == 3 and d == sorted(d) for d in drawn)
    assert drawn[4] == ids(["p0", "p1", "p2", "p3"], [], 3, 4)
    assert {v for d in drawn for v in d} == {f"v{i}" for i in range(8)}
    assert len(ids(["p0", "p1", "p2", "p3"], [], 0, 0)) == 8


def test_default_are_the_people_whom_the_run_kept_out(folder, tmp_path):
    excluded = {"excluded_identities": ["p9", "p2"]}  # p9 is of another dataset
    (tmp_path / "run.json").write_text(json.dumps(excluded))
    checkpoint = str(tmp_path / "checkpoints/ckpt-1")
    found = held_out_entries(folder, [], [], 50, 0, checkpoint)
    assert [e.video_id for e in found] == ["v4", "v5"]
    found = held_out_entries(folder, [], ["v1"], 50, 0, checkpoint)
    assert [e.video_id for e in found] == ["v1"]
    with pytest.raises(ValueError, match="the run excluded nobody"):
        held_out_entries(folder, [], [], 50, 0, str(tmp_path / "other/checkpoints/ckpt-1"))


def test_nobody_and_unknown_people_are_named(folder):
    with pytest.raises(ValueError, match="expected identities or video_ids"):
        held_out_entries(folder, [], [], 50, 0)
    with pytest.raises(ValueError, match="identities: 'p9' is not in folder"):
        held_out_entries(folder, ["p0", "p9"], [], 50, 0)
    with pytest.raises(ValueError, match="video_ids: 'v9' is not in folder"):
        held_out_entries(folder, [], ["v9"], 50, 0)
