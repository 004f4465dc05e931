"""The package's landmark network can not be downloaded everywhere: its documented return values
are played back, and it runs for real where its files are in the torch hub cache."""

import pathlib
import urllib.error
import warnings

import numpy as np
import pytest

from tf_talking.data import video
from tf_talking.landmarks import face_alignment_detector
from tf_talking.landmarks.detector import get_detector

FRAME = np.zeros((128, 160, 3), np.uint8)


def face(x: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.uniform(0, 40, (68, 2)) + [x, 10]).astype(np.float32)


class PlayedBack:
    """`face_alignment.FaceAlignment` 1.5: get_landmarks_from_image returns None and warns where
    there is no face, else a list with a float32 [68, 2] array for each face."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.seen = []

    def get_landmarks_from_image(self, image):
        self.seen.append(image)
        answer = self.answers.pop(0)
        if answer is None:
            warnings.warn("No faces were detected.", stacklevel=2)
        return answer


def test_documented_answers_become_detections():
    model = PlayedBack([[face(5)], None, [face(5), face(90)]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with get_detector("face_alignment", model=model) as detector:
            assert (detector.name, detector.scheme) == ("face_alignment", "ibug68")
            one, nobody, two = detector.detect([FRAME] * 3)
    np.testing.assert_array_equal(one.landmarks, face(5))
    assert one.landmarks.dtype == np.float32 and one.reason is None
    assert (nobody.landmarks, nobody.reason) == (None, "no face")
    assert (two.landmarks, two.reason) == (None, "several faces (2)")
    assert model.seen[0].shape == FRAME.shape


def test_the_package_is_called_as_version_1_5_wants_it(monkeypatch, tmp_path):
    import face_alignment

    calls = []
    monkeypatch.setattr(
        face_alignment, "FaceAlignment", lambda *a, **k: calls.append((a, k)) or PlayedBack([None])
    )
    weights = tmp_path / "s3fd.pth"
    weights.touch()
    detector = get_detector(
        "face_alignment", device="cpu", path_to_detector=str(weights),
        detector_options={"filter_threshold": 0.7},
    )  # fmt: skip
    assert detector.detect([FRAME])[0].reason == "no face"
    ((kind,), options) = calls[0]
    assert kind == face_alignment.LandmarksType.TWO_D
    assert options["device"] == "cpu" and options["face_detector"] == "sfd"
    assert options["face_detector_kwargs"] == {
        "path_to_detector": str(weights),
        "filter_threshold": 0.7,
    }


def test_failed_download_says_what_to_put_where(monkeypatch):
    import face_alignment

    def fail(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(face_alignment, "FaceAlignment", fail)
    with pytest.raises(RuntimeError, match="(?s)no route.*2DFAN4-11f355bf06.*checkpoints.*mediap"):
        get_detector("face_alignment", device="cpu")


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="'ibug68_gaze', face_alignment gives only"):
        get_detector("face_alignment", "ibug68_gaze", model=PlayedBack([]))
    with pytest.raises(ValueError, match="no file /nowhere"):
        get_detector("face_alignment", path_to_detector="/nowhere/s3fd.pth")
    with pytest.raises(ValueError, match="float32"):
        get_detector("face_alignment", model=PlayedBack([])).detect([FRAME.astype(np.float32)])


def test_for_real(shared_dir):
    import torch

    cache = pathlib.Path(torch.hub.get_dir()) / "checkpoints"
    for name in (face_alignment_detector.LANDMARK_FILE, "s3fd-619a316812.pth"):
        if not (cache / name).is_file():
            pytest.skip(f"face_alignment's network {name} is not in {cache}")
    frame = next(video.read_frames(shared_dir / "data" / "clips" / "c001.mp4"))
    found = get_detector("face_alignment", device="cpu").detect([frame])[0].landmarks
    with get_detector("mediapipe", video=False) as other:
        reference = other.detect([frame])[0].landmarks
    eyes = np.linalg.norm(reference[36] - reference[45])
    assert np.linalg.norm(found - reference, axis=1).mean() < 0.08 * eyes
