"""Evaluation in this process, with the methods that need no training: resuming, other drivers."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.records import decode_frames
from tf_talking.metrics import registry
from tf_talking.metrics.available import EvaluationMetrics
from training.evaluation.cross import CrossReenactment, Driver, read_drivers
from training.evaluation.folder import REAL, EvaluationFolder
from training.evaluation.frames import split_videos
from training.evaluation.methods import Learning, Methods
from training.evaluation.names import BEFORE, FF, FT, NEAREST
from training.evaluation.run import Evaluation
from training.person.frames import PersonFrames


@pytest.fixture(scope="module")
def methods(learned):
    return Methods(learned, Learning(tuned=()))


@pytest.fixture(scope="module")
def parts(people):
    folder = DatasetFolder.open(people)
    return folder, split_videos(folder.accepted[:3], (1, 2), 3, "spread")[0]


@pytest.fixture
def make(learned, methods, parts, evaluation_facts, mean_colour):
    """(path, with_fid) -> an evaluation that writes there."""
    folder, videos = parts

    def evaluation(path, with_fid=True):
        needs = {"features": lambda f: f.mean(axis=1).reshape(len(f), -1)[:, :5]}
        metrics = EvaluationMetrics(["fid", "l1"] if with_fid else ["l1"], needs, {}, {})
        drivers = read_drivers(folder, [(v.entry, v.holdout) for v in videos], 2)
        facts = {
            **evaluation_facts,
            **methods.facts(),
            "shots": [1, 2],
            "holdout_frames": 3,
            "metrics": metrics.names,
            "metric_sources": {},
            "cross": {"drivers": [d.video_id for d in drivers], "frames": 2},
        }
        output = EvaluationFolder(path)
        output.start(facts)
        cross = CrossReenactment(learned.config, mean_colour, drivers)
        return Evaluation(learned.config, folder, methods, metrics, facts, output, cross)

    return evaluation


TRAINING = {"batch_size": 4, "k_shot": 2, "num_videos": 2, "start_from": None, "held_out": False}


def test_stopped_evaluation_goes_on_to_the_same_results(make, parts, tmp_path):
    undisturbed = make(tmp_path / "a")
    undisturbed.run(parts[1])
    undisturbed.write_results(parts[1], {"v9": "7 frames, expected at least 9"}, TRAINING)
    stopped = make(tmp_path / "b")
    stopped.run(parts[1][:1])
    kept = stopped.output.video(parts[1][0].entry.video_id) / "results.jsonl"
    before = kept.stat().st_mtime_ns
    (stopped.output.videos / "half.tmp").mkdir()
    resumed = make(tmp_path / "b")
    resumed.run(parts[1])
    resumed.write_results(parts[1], {}, TRAINING)
    assert kept.stat().st_mtime_ns == before
    assert len(list(resumed.output.videos.iterdir())) == 3
    for name in ("results.jsonl", "cross.jsonl"):
        lines = [[json.loads(line) for line in (tmp_path / folder / name).read_text().splitlines()] for folder in "ab"]
        for a, b in zip(*lines, strict=True):
            del a["time"], b["time"]
            assert a == b
    text = (tmp_path / "a/report.md").read_text()
    assert "v9: 7 frames, expected at least 9" in text
    assert "NOT all evaluated identities were kept out" in text
    assert "## Cross-reenactment" in text and (tmp_path / "a/report.html").is_file()


def test_few_shot_frames_of_another_video(make, parts, tmp_path):
    folder, videos = parts
    video = dataclasses.replace(videos[0], source=videos[1].entry)
    evaluation = make(tmp_path, with_fid=False)
    evaluation.run_video(video)
    [finished] = evaluation.output.read([video.entry.video_id])
    used = json.loads((finished.path / "frames.json").read_text())
    assert used["few_shot_from"] == videos[1].entry.video_id
    truth = decode_frames(folder.read_video(video.entry.video_id), video.holdout)
    only = decode_frames(folder.read_video(videos[1].entry.video_id), [*video.shots[1]] * 3)
    [row] = [r for r in finished.rows if (r["method"], r["shots"]) == (NEAREST, 1)]
    assert row["value"] == pytest.approx(registry.compute("l1", truth, only))


def test_features_of_every_method_are_kept_for_fid(make, parts, tmp_path):
    evaluation = make(tmp_path)
    evaluation.run(parts[1][:1])
    video = parts[1][0]
    found = evaluation.output.read([video.entry.video_id])[0].features()
    assert set(found) == {REAL, "nearest 1", "nearest 2", "ff 1", "ff 2"}
    truth = decode_frames(parts[0].read_video(video.entry.video_id), video.holdout)
    np.testing.assert_allclose(found[REAL], evaluation.metrics.features(truth))


def test_every_person_is_driven_by_all_others_and_ranked(make, methods, mean_colour, parts, tmp_path):
    folder, videos = parts
    evaluation = make(tmp_path, with_fid=False)
    evaluation.run(videos)
    video = videos[0]
    rows = evaluation.output.read([video.entry.video_id])[0].cross
    assert [r["driver"] for r in rows] == [v.entry.video_id for v in videos[1:]]
    assert {(r["method"], r["metric"], r["shots"], r["n"]) for r in rows} == {(FF, "csim", 1, 2)}
    # By hand: drawn from the drivers' landmarks alone, the source by its first frame.
    person = PersonFrames.of_record(folder.read_video(video.entry.video_id), video.shots[1])
    for row, driver in zip(rows, evaluation.cross.drivers_of(video.entry.identity), strict=True):
        fakes = methods.draw(person, driver.landmarks)[FF]
        a = mean_colour(person.frames[:1], person.landmarks[:1])[0]
        b = mean_colour(fakes, driver.landmarks)
        cosines = b @ a / np.linalg.norm(a) / np.linalg.norm(b, axis=1)
        assert row["value"] == pytest.approx(cosines.mean(), abs=1e-3)


def test_the_most_similar_drivers_are_shown_first(nano_config, mean_colour, evaluation_facts):
    """Four drivers whose generated frames are of known colours."""
    landmarks = np.random.default_rng(0).uniform(5, 25, (1, 68, 2)).astype(np.float32)

    def frames(*colour):
        return np.full((1, 32, 32, 3), colour, np.uint8)

    colours = [(120, 100, 200), (200, 110, 100), (200, 100, 100), (100, 200, 100)]
    drivers = [Driver(f"d{i}", f"p{i}", frames(i, i, i), landmarks) for i in range(4)]
    cross = CrossReenactment(nano_config, mean_colour, drivers)
    person = PersonFrames(frames(200, 100, 100), landmarks, "me")
    generated = {FF: np.concatenate([frames(*c) for c in colours])}
    rows, strip = cross.measure(person, generated, drivers, evaluation_facts, "me.mp4", "me")
    values = [row["value"] for row in rows]
    assert values[2] == pytest.approx(1.0) and values[3] == pytest.approx(0.0)
    assert strip.shape == (3 * 32, 4 * 32, 3)
    shown = strip[::32, 32, 0].tolist()  # the drivers' pictures, which are their numbers
    assert shown == [2, 1, 0]


def test_fine_tuning_that_begins_elsewhere_is_an_error(learned, parts, monkeypatch):
    """Eq. (5) = eq. (8) is asserted on every person, but not where ψ' starts at random."""
    folder, videos = parts
    person = PersonFrames.of_record(folder.read_video(videos[0].entry.video_id), videos[0].shots[1])
    methods = Methods(learned, Learning(epochs=0))
    frames = methods.draw(person, person.landmarks)
    assert list(frames) == [NEAREST, FF, BEFORE, FT]
    np.testing.assert_array_equal(frames[BEFORE], frames[FT])  # no epochs
    assert np.abs(frames[BEFORE].astype(int) - frames[FF]).max() <= 1
    start = methods._start

    def elsewhere(method, embedding):
        model = start(method, embedding)
        model.ema_adain_params.assign_add(tf.ones_like(model.ema_adain_params))
        return model

    monkeypatch.setattr(methods, "_start", elsewhere)
    with pytest.raises(RuntimeError, match="levels away from the feed-forward frames"):
        methods.draw(person, person.landmarks)
    finetune = dataclasses.replace(learned.config.finetune, adain_init="random")
    config = dataclasses.replace(learned.config, finetune=finetune)
    methods._learned = dataclasses.replace(learned, config=config)
    other = methods.draw(person, person.landmarks)
    assert np.abs(other[BEFORE].astype(int) - other[FF]).max() > 1
