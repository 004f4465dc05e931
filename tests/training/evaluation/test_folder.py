"""The folder of an evaluation, means over videos, and which metrics there are."""

import json
import math

import numpy as np
import pytest

from tf_talking.config import get_preset, to_json
from tf_talking.metrics import fid
from tf_talking.metrics.available import build_metrics
from tf_talking.metrics.registry import Measurement
from training.evaluation.folder import (
    REAL,
    EvaluationFolder,
    make_line,
    over_all_videos,
    parse_line,
)

CONFIG = json.loads(to_json(get_preset("tiny")))
FACTS = {
    "checkpoint": "run/ckpt-7",
    "step": 7,
    "config": CONFIG,
    "config_hash": "abc",
    "data_hash": "def",
    "seed": 0,
    "shots": [1],
    "methods": ["ff", "ft"],
    "epochs": {"ft": 3},
    "metric_sources": {"fid": "inception.npz"},
}


def write(folder, video_id, value, features=None, missing=0):
    """A finished video with one metric, `csim`, of both methods; ft is better by 0.1."""
    lines = [
        make_line(FACTS, Measurement("csim", value + d, 4 - missing, missing), method, 1, video_id)
        for method, d in (("ff", 0.0), ("ft", 0.1))
    ]
    folder.write_video(
        video_id, lines, {"identity": "a"}, np.zeros((4, 4, 3), np.uint8), features or {}
    )


@pytest.fixture
def folder(tmp_path):
    folder = EvaluationFolder(tmp_path / "out")
    folder.start(FACTS)
    return folder


def test_means_and_intervals_over_videos(folder):
    values = {"a": 0.2, "b": 0.5, "c": math.nan}
    for video_id, value in values.items():
        write(folder, video_id, value, missing=4 if math.isnan(value) else 1)
    lines = over_all_videos(folder, list(values), FACTS, ["csim"])
    ff, ft = (parse_line(line) for line in lines)
    assert (ff["method"], ff["video"], ff["videos"], ff["epochs"]) == ("ff", None, 3, 0)
    assert (ff["value"], ff["n"], ff["missing"]) == (pytest.approx(0.35), 6, 6)
    assert (ff["low"], ff["high"]) == (pytest.approx(0.2), pytest.approx(0.5))
    assert ft["value"] == pytest.approx(0.45) and ft["epochs"] == 3


def test_infinite_and_missing_values_survive_the_file(folder):
    for value in (math.inf, math.nan, 0.25):
        line = make_line(FACTS, Measurement("psnr", value, 4), "ff", 1, "a", low=None, high=None)
        read = parse_line(line)
        np.testing.assert_equal(read["value"], value)
        assert math.isnan(read["low"])


def test_fid_is_taken_over_the_frames_of_all_videos(folder):
    generator = np.random.default_rng(0)
    features = [
        {key: generator.normal(size=(4, 3)) for key in (REAL, "ff 1", "ft 1")} for _ in range(3)
    ]
    for number, own in enumerate(features):
        write(folder, f"v{number}", 0.5, own)
    lines = over_all_videos(folder, ["v0", "v1", "v2"], FACTS, ["fid"])
    for line, key in zip(lines, ("ff 1", "ft 1"), strict=True):
        row = parse_line(line)
        real, fake = (np.concatenate([f[k] for f in features]) for k in (REAL, key))
        expected = fid.frechet_distance(
            *fid.feature_statistics(real), *fid.feature_statistics(fake)
        )
        assert row["value"] == pytest.approx(expected)
        assert row["n"] == 12 and math.isnan(row["low"])
        assert row["source"] == "inception.npz"


def test_same_facts_go_on_and_others_are_named(folder):
    more = CONFIG | {"finetune": CONFIG["finetune"] | {"epochs": 41}}
    (folder.videos / "v0-half.tmp").mkdir()
    write(folder, "v0", 0.5)
    folder.start(json.loads(json.dumps(FACTS)))
    assert folder.is_finished("v0") and not folder.is_finished("v1")
    assert [p.suffix for p in folder.videos.iterdir()] == [""]  # what a kill left is gone
    for other, message in (
        ({"seed": 1}, "seed is 0, this command has 1"),
        ({"config": more}, "config.finetune.epochs is 40, this command has 41"),
    ):
        with pytest.raises(ValueError, match=message):
            folder.start({**FACTS, **other})


def test_a_field_of_the_config_that_came_later_has_its_default(folder):
    path = folder.path / "evaluation.json"
    facts = json.loads(path.read_text())
    del facts["config"]["train"]["stretch"]
    path.write_text(json.dumps(facts))
    folder.start(FACTS)


def test_video_folders_are_never_shared(folder):
    names = ["id1/a.mp4", "id1_a.mp4", "id1/a", "ü", "../x", "x" * 300, "x" * 301]
    paths = {folder.video(name) for name in names}
    assert len(paths) == len(names)
    assert all(p.parent == folder.videos and len(p.name) < 100 for p in paths)


def metrics(wanted=None, consecutive=False, **files):
    given = dict.fromkeys(("inception", "recogniser", "vgg19", "detector")) | files
    return build_metrics(wanted, scheme="ibug68", image_size=32, consecutive=consecutive, **given)


def test_metrics_without_their_files_are_left_out_with_the_reason():
    found = metrics()
    assert found.names == ["ssim", "l1", "face_l1", "psnr"]
    assert found.left_out == {
        "fid": "--inception is not given",
        "csim": "--recogniser is not given",
        "perceptual": "--vgg19 is not given",
        "landmark_error": "--landmark_detector is not given",
        "flicker": "it needs --holdout_order=consecutive",
    }
    assert metrics(consecutive=True).names[-1] == "flicker"
    assert metrics(["l1"]).names == ["l1"] and not metrics(["l1"]).left_out


def test_wanted_metrics_that_can_not_be_had_are_errors(tmp_path):
    with pytest.raises(ValueError, match="--metrics: csim: --recogniser is not given"):
        metrics(["l1", "csim"])
    with pytest.raises(ValueError, match="unknown metric 'sharpness'"):
        metrics(["sharpness"])
    with pytest.raises(FileNotFoundError, match="nothing.npz"):
        metrics(["fid"], inception=str(tmp_path / "nothing.npz"))


def test_published_recogniser_and_detector_measure_real_faces(shared_dir):
    """Real frames against themselves: the same person; landmarks found where they were."""
    from tf_talking.landmarks.crop import crop_frame
    from tf_talking.landmarks.detectors import get_detector
    from tf_talking.media.video_reader import read_frames

    frame = next(iter(read_frames(str(shared_dir / "data/clips/c001.mp4"))))
    with get_detector("mediapipe", video=False) as detector:
        frame, landmarks = crop_frame(frame, detector.detect([frame])[0].landmarks, 256)
    file = shared_dir / "weights/mobilefacenet_ms1m_y1.keras"
    found = metrics(["csim", "landmark_error"], recogniser=str(file), detector="mediapipe")
    frames, landmarks = frame[np.newaxis], np.asarray(landmarks)[np.newaxis]
    values = {m.metric: m for m in found.measure(frames, frames, landmarks)}
    found.close()
    assert values["csim"].value == pytest.approx(1.0, abs=1e-4)
    assert values["landmark_error"].n == 1 and values["landmark_error"].value < 0.05
    assert str(file) in found.sources["csim"] and "sha256" in found.sources["csim"]
    assert found.sources["landmark_error"] == "mediapipe"
