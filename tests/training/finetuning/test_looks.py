"""Metrics of what a model draws, on frames that are held out."""

import types

import numpy as np
import pytest

from tf_talking.landmarks.detector import Detection
from training.finetuning.looks import measure_on
from training.person.frames import PersonFrames


def test_metrics_that_can_not_be_measured_are_named():
    held_out = PersonFrames(np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 68, 2)), "black")
    with pytest.raises(ValueError, match="unknown metric 'nicer'"):
        measure_on(held_out, ["nicer"])
    with pytest.raises(ValueError, match="csim: needs recogniser, got \\['landmarks'\\]"):
        measure_on(held_out, ["csim"])


def test_metrics_get_what_they_need():
    class Seen:
        def detect(self, frames):
            return [Detection(points + 1.0) for points in held_out.landmarks]

    landmarks = np.random.default_rng(0).uniform(1, 7, (2, 68, 2)).astype(np.float32)
    held_out = PersonFrames(np.zeros((2, 8, 8, 3), np.uint8), landmarks, "black")
    model = types.SimpleNamespace(predict_on_batch=lambda points: held_out.frames)
    found = measure_on(held_out, ["l1", "landmark_error"], {"detector": Seen()})(model)
    eyes = np.linalg.norm(landmarks[:, 36] - landmarks[:, 45], axis=-1)
    assert found == {"l1": 0.0, "landmark_error": pytest.approx(np.mean(np.sqrt(2.0) / eyes))}


def test_real_frames_are_recognised_once():
    seen = []

    def recogniser(frames, landmarks):
        seen.append(frames.mean())
        return frames.mean(axis=(1, 2)) - 100.0

    real = np.full((2, 8, 8, 3), (200, 100, 100), np.uint8)
    held_out = PersonFrames(real, np.zeros((2, 68, 2), np.float32), "red")
    fakes = [np.full((2, 8, 8, 3), c, np.uint8) for c in ((200, 100, 100), (100, 200, 100))]
    measure = measure_on(held_out, ["csim"], {"recogniser": recogniser})
    found = [measure(types.SimpleNamespace(predict_on_batch=lambda _, f=fake: f))["csim"] for fake in fakes]
    assert found == [pytest.approx(1.0), pytest.approx(0.0)]
    assert seen == [real.mean(), fakes[0].mean(), fakes[1].mean()]
