"""Which photos and frames fine-tuning takes: the same that preprocessing would."""

import dataclasses

import cv2
import numpy as np
import pytest

from tests.scripted_detector import ScriptedDetector
from tf_talking.landmarks import scheme
from training.person import sources as person_source


def face(size, left=60.0):
    """Landmarks whose box has sides of `size` pixels."""
    points = np.linspace(0.0, size, scheme.get_scheme("ibug68").num_points)
    return np.stack([points + left, points + 60.0], axis=-1).astype(np.float32)


@pytest.fixture
def detector(monkeypatch):
    """Knows pictures by their mean colour."""
    table = {10: face(100), 20: face(50), 30: face(100, left=-30.0), 50: face(100)}
    scripted = ScriptedDetector(lambda frame: table.get(round(float(frame.mean())), "no face"))
    monkeypatch.setattr(person_source, "get_detector", lambda *_, **__: scripted)


@pytest.fixture
def config(nano_config):
    landmarks = dataclasses.replace(nano_config.landmarks, detector="mediapipe")
    return dataclasses.replace(nano_config, landmarks=landmarks)


@pytest.fixture
def folder(tmp_path):
    """A good photo and one for each reason to refuse one, named after it."""
    for name, value, side in (
        ("good", 10, 300),
        ("small_face", 20, 300),
        ("outside", 30, 300),
        ("nobody", 40, 300),
        ("tiny_picture", 50, 40),
    ):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((side, side, 3), value, np.uint8))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    return tmp_path


def test_what_preprocessing_refuses_is_refused(config, folder, detector, caplog):
    person = person_source.from_photos(config, str(folder), 8)
    assert len(person) == 1
    assert person.frames[0].mean() == 10
    for name, reason in (
        ("small_face.png", "face too small: under 64 pixels"),
        ("outside.png", "landmarks outside the frame"),
        ("nobody.png", "no face"),
        ("tiny_picture.png", "picture too small: 40x40 pixels, a face needs 64"),
        ("broken.png", "not an image"),
    ):
        assert f"{folder / name}: {reason}" in caplog.text


def test_limit_can_be_lowered(config, folder, detector):
    assert len(person_source.from_photos(config, str(folder), 8, min_face=40)) == 2


def test_no_usable_photo_names_file_and_reason(config, folder, detector):
    photo = folder / "small_face.png"
    with pytest.raises(ValueError, match="small_face.png: face too small: under 64 pixels"):
        person_source.from_photos(config, str(photo), 8)
