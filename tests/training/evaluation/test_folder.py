"""The folder of an evaluation: what is finished, what it was made with."""

import json
import math

import numpy as np
import pytest


def test_same_facts_go_on_and_others_are_named(folder, evaluation_facts, write_video):
    config = evaluation_facts["config"]
    more = config | {"finetune": config["finetune"] | {"epochs": 41}}
    (folder.videos / "v0-half.tmp").mkdir()
    write_video(folder, "v0", 0.5)
    folder.start(json.loads(json.dumps(evaluation_facts)))
    assert folder.is_finished("v0") and not folder.is_finished("v1")
    assert [p.suffix for p in folder.videos.iterdir()] == [""]  # what a kill left is gone
    for other, message in (
        ({"seed": 1}, "seed is 0, asked for is 1"),
        ({"config": more}, "config.finetune.epochs is 40, asked for is 41"),
    ):
        with pytest.raises(ValueError, match=message):
            folder.start({**evaluation_facts, **other})


def test_a_field_of_the_config_that_came_later_has_its_default(folder, evaluation_facts):
    path = folder.path / "evaluation.json"
    facts = json.loads(path.read_text())
    del facts["config"]["train"]["stretch"]
    path.write_text(json.dumps(facts))
    folder.start(evaluation_facts)


def test_video_folders_are_never_shared(folder):
    names = ["id1/a.mp4", "id1_a.mp4", "id1/a", "ü", "../x", "x" * 300, "x" * 301]
    paths = {folder.video(name) for name in names}
    assert len(paths) == len(names)
    assert all(p.parent == folder.videos and len(p.name) < 100 for p in paths)


def test_what_was_written_of_a_video_is_read_again(folder, evaluation_facts, write_video):
    write_video(folder, "b", math.nan, {"real": np.ones((4, 3))}, missing=4)
    frames = {
        "identity": "me",
        "shots": {1: [0], 8: [*range(8)]},
        "seconds": {1: {"ff": 0.5}},
        "stops": {1: {"curves": {"ft": [{"epoch": 0, "csim": math.nan}]}, "best": {}}},
    }
    folder.write_video("a", [], frames, None, {})
    (folder.videos / ".c-12345678.1-abcdef01.tmp").mkdir()  # being written
    (folder.videos / "c-12345678.tmp").mkdir()  # likewise, by an earlier version
    a, b = folder.read_all()
    assert (a.video_id, a.identity, a.shots) == ("a", "me", frames["shots"])
    assert a.seconds == frames["seconds"] and (a.rows, a.cross) == ([], [])
    assert a.stops[1]["curves"]["ft"] == [{"epoch": 0, "csim": None}]
    assert "NaN" not in (a.path / "frames.json").read_text()
    assert [(r["method"], r["missing"]) for r in b.rows] == [("ff", 4), ("ft", 4)]
    assert all(math.isnan(row["value"]) for row in b.rows)
    np.testing.assert_array_equal(b.features()["real"], np.ones((4, 3)))
    folder.write_joined("results.jsonl", [b, a], b.rows[:1])
    assert len((folder.path / "results.jsonl").read_text().splitlines()) == 3
