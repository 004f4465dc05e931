"""The package's landmark network can not be downloaded everywhere: its documented return values
are played back, and it runs for real where its files are in the torch hub cache."""

import pathlib
import urllib.error
import warnings

import numpy as np
import pytest

from tests.faces import portrait
from tf_talking.landmarks import face_alignment_detector
from tf_talking.landmarks.detector import DetectorFailure
from tf_talking.landmarks.detectors import get_detector

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

    def get_landmarks_from_batch(self, batch):
        """Takes [B, 3, H, W]; one entry a frame: float32 [faces * 68, 2], or [] without a face."""
        self.seen.append(batch)
        answers, self.answers = self.answers[: len(batch)], self.answers[len(batch) :]
        return [np.concatenate(answer) if answer else [] for answer in answers]


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
    assert model.seen[0].shape == (3, 3, *FRAME.shape[:2])
    single = PlayedBack([None, [face(5)]])
    detector = get_detector("face_alignment", model=single)
    assert [detector.detect([FRAME])[0].reason for _ in range(2)] == ["no face", None]
    assert single.seen[0].shape == FRAME.shape


class MarkedFaces:
    """A face detector of the package: a box for each corner marked red in the picture."""

    reference_scale = 195.0

    def detect_from_image(self, image):
        boxes = [[8, 8, 50, 50, 0.9], [90, 40, 140, 90, 0.8]]
        corners = [image[0, 0, 0], image[-1, -1, 0]]
        return [np.array(box) for box, red in zip(boxes, corners, strict=True) if red > 128]

    def detect_from_batch(self, batch):
        return [self.detect_from_image(image.numpy().transpose(1, 2, 0)) for image in batch]


@pytest.fixture
def package_model():
    """The package's own code between its networks, which are played."""
    import face_alignment
    import torch

    model = face_alignment.FaceAlignment.__new__(face_alignment.FaceAlignment)
    model.device, model.dtype, model.max_batch_size = "cpu", torch.float32, 1
    model.flip_input, model.landmarks_type = False, face_alignment.LandmarksType.TWO_D
    model.face_detector = MarkedFaces()

    def heatmaps(crops):  # the peak of point n in column n % 60 + 2, row n // 2 + 4
        maps = torch.zeros(len(crops), 68, 64, 64)
        for point in range(68):
            maps[:, point, point // 2 + 4, point % 60 + 2] = 1 + crops.mean()
        return maps

    model.face_alignment_net = heatmaps
    return model


def marked(first: bool, last: bool) -> np.ndarray:
    frame = FRAME.copy()
    frame[0, 0, 0], frame[-1, -1, 0] = 255 * first, 255 * last
    return frame


def test_a_batch_gives_what_single_frames_give(package_model):
    frames = [marked(True, False), marked(False, False), marked(True, True), marked(False, True)]
    detector = get_detector("face_alignment", model=package_model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        together = detector.detect(frames)
        alone = [detector.detect([frame])[0] for frame in frames]
    assert [d.reason for d in together] == [None, "no face", "several faces (2)", None]
    for a, b in zip(together, alone, strict=True):
        assert a.reason == b.reason
        if a.landmarks is not None:
            np.testing.assert_array_equal(a.landmarks, b.landmarks)
    assert (together[3].landmarks > together[0].landmarks).all()
    box = np.array([80, 30, 70, 70])
    (chosen,) = detector.detect([marked(True, True)], [box])
    np.testing.assert_array_equal(chosen.landmarks, together[3].landmarks)
    assert detector.detect([marked(True, False)], [box])[0].reason == "no face in the given box"


class OutOfMemoryError(RuntimeError):
    """Named like torch.cuda.OutOfMemoryError."""


def test_a_batch_that_does_not_fit_is_halved(package_model, monkeypatch):
    sizes = []
    real = package_model.get_landmarks_from_batch

    def limited(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise OutOfMemoryError("CUDA out of memory")
        return real(batch)

    monkeypatch.setattr(package_model, "get_landmarks_from_batch", limited)
    detector = get_detector("face_alignment", model=package_model)
    found = detector.detect([marked(k % 2 == 0, False) for k in range(8)])
    assert [d.reason for d in found] == [None, "no face"] * 4
    assert sizes == [8, 4, 2, 2, 2, 2]

    def full(image):
        raise OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(package_model, "get_landmarks_from_image", full)
    with pytest.raises(DetectorFailure, match="does not hold one frame"):
        detector.detect([FRAME])


def test_the_package_is_called_as_version_1_5_wants_it(monkeypatch, tmp_path):
    import face_alignment

    calls = []
    monkeypatch.setattr(face_alignment, "FaceAlignment", lambda *a, **k: calls.append((a, k)) or PlayedBack([None]))
    weights = tmp_path / "s3fd.pth"
    weights.touch()
    detector = get_detector(
        "face_alignment", device="cpu", path_to_detector=str(weights), detector_options={"filter_threshold": 0.7}
    )
    assert detector.detect([FRAME])[0].reason == "no face"
    ((kind,), options) = calls[0]
    assert kind == face_alignment.LandmarksType.TWO_D
    assert options["device"] == "cpu" and options["face_detector"] == "sfd"
    assert options["face_detector_kwargs"] == {"path_to_detector": str(weights), "filter_threshold": 0.7}


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


def test_for_real():
    import torch

    cache = pathlib.Path(torch.hub.get_dir()) / "checkpoints"
    for name in (face_alignment_detector.LANDMARK_FILE, "s3fd-619a316812.pth"):
        if not (cache / name).is_file():
            pytest.skip(f"face_alignment's network {name} is not in {cache}")
    frame = portrait()
    found = get_detector("face_alignment", device="cpu").detect([frame])[0].landmarks
    with get_detector("mediapipe", video=False) as other:
        reference = other.detect([frame])[0].landmarks
    eyes = np.linalg.norm(reference[36] - reference[45])
    assert np.linalg.norm(found - reference, axis=1).mean() < 0.08 * eyes
