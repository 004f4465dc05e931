"""An evaluation of one metric, by hand."""

import json

import numpy as np
import pytest

from tf_talking.config import get_preset, to_json
from tf_talking.metrics.registry import Measurement
from training.evaluation.folder import EvaluationFolder
from training.evaluation.lines import make_row


@pytest.fixture(scope="session")
def evaluation_facts():
    """What decides the results, as evaluation.json holds it; most tests change some of it."""
    return {
        "checkpoint": "run/ckpt-7",
        "step": 7,
        "config": json.loads(to_json(get_preset("tiny"))),
        "config_hash": "abc",
        "content": {},
        "dataset": "people",
        "data_hash": "def",
        "seed": 0,
        "shots": [1],
        "holdout_frames": 4,
        "holdout_order": "spread",
        "few_shot_from": "same",
        "methods": ["ff", "ft"],
        "epochs": {"ft": 3},
        "precision": "float32",
        "override": [],
        "before_equals_ff": True,
        "metrics": ["csim"],
        "metric_sources": {"fid": "inception.npz"},
        "metrics_left_out": {},
        "cross": {"drivers": [], "frames": 2},
    }


@pytest.fixture
def write_video(evaluation_facts):
    """(folder, video_id, value, features, missing): writes a finished video with one metric, csim,
    of both methods; ft is better by 0.1."""

    def write(folder: EvaluationFolder, video_id, value, features=None, missing=0):
        found = {
            method: Measurement("csim", value + better, 4 - missing, missing)
            for method, better in (("ff", 0.0), ("ft", 0.1))
        }
        rows = [make_row(evaluation_facts, m, name, 1, video_id) for name, m in found.items()]
        picture = np.zeros((4, 4, 3), np.uint8)
        folder.write_video(video_id, rows, {"identity": "a"}, picture, features or {})

    return write


@pytest.fixture
def folder(tmp_path, evaluation_facts):
    folder = EvaluationFolder(tmp_path / "out")
    folder.start(evaluation_facts)
    return folder


@pytest.fixture(scope="session")
def mean_colour():
    """A recogniser that tells people by their colour."""

    def recogniser(frames, landmarks):
        assert len(frames) == len(landmarks)
        return frames.mean(axis=(1, 2)) - 100.0

    return recogniser
