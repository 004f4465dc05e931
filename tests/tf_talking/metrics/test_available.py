"""Which metrics there are, by what files are given."""

import numpy as np
import pytest

from tests.faces import portrait
from tests.small_recogniser import save_plain_recogniser
from tf_talking.landmarks.crop import crop_frame
from tf_talking.landmarks.detectors import get_detector
from tf_talking.metrics.available import build_metrics


def metrics(wanted=None, consecutive=False, **files):
    return build_metrics(wanted, "ibug68", 32, consecutive=consecutive, **files)


def test_metrics_without_their_files_are_left_out_and_say_what_they_lack():
    found = metrics()
    assert found.names == ["ssim", "l1", "face_l1", "psnr"]
    assert found.left_out == {
        "fid": "inception",
        "csim": "recogniser",
        "perceptual": "vgg19",
        "landmark_error": "landmark_detector",
        "flicker": "consecutive",
    }
    assert metrics(consecutive=True).names[-1] == "flicker"
    assert metrics(["l1"]).names == ["l1"] and not metrics(["l1"]).left_out


def test_wanted_metrics_that_can_not_be_had_are_errors(tmp_path):
    with pytest.raises(ValueError, match="metrics: csim can not be measured without recogniser"):
        metrics(["l1", "csim"])
    with pytest.raises(ValueError, match="unknown metric 'sharpness'"):
        metrics(["sharpness"])
    with pytest.raises(FileNotFoundError, match="nothing.npz"):
        metrics(["fid"], inception=str(tmp_path / "nothing.npz"))


def test_recogniser_and_detector_measure_a_face(tmp_path):
    """A portrait against itself: the same person; landmarks found where they were."""
    with get_detector("mediapipe", video=False) as detector:
        frame, landmarks = crop_frame(portrait(), detector.detect([portrait()])[0].landmarks, 256)
    file = save_plain_recogniser(tmp_path / "plain.keras")
    found = metrics(["csim", "landmark_error"], recogniser=str(file), landmark_detector="mediapipe")
    frames, landmarks = frame[np.newaxis], np.asarray(landmarks)[np.newaxis]
    values = {m.metric: m for m in found.measure(frames, frames, landmarks)}
    found.close()
    assert values["csim"].value == pytest.approx(1.0, abs=1e-4)
    assert values["landmark_error"].n == 1 and values["landmark_error"].value < 0.05
    assert str(file) in found.sources["csim"] and "sha256" in found.sources["csim"]
    assert found.sources["landmark_error"] == "mediapipe"
