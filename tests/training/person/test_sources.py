"""Which photos and frames fine-tuning takes: the same that preprocessing would."""

import dataclasses
import weakref

import cv2
import numpy as np
import PIL.Image
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


def test_the_rest_of_the_folder_is_named(config, folder, detector, caplog):
    (folder / "more").mkdir()
    (folder / "film.mov").touch()
    (folder / ".hidden").touch()
    person_source.from_photos(config, str(folder), 8)
    assert f"{folder / 'more'}: a folder" in caplog.text
    assert f"{folder / 'film.mov'}: no photo by its name" in caplog.text
    assert ".hidden" not in caplog.text


def test_one_photo_is_taken_whatever_its_name(config, folder, detector):
    PIL.Image.fromarray(np.full((300, 300, 3), 10, np.uint8)).save(folder / "still.gif")
    assert len(person_source.from_photos(config, str(folder / "still.gif"), 8)) == 1
    (folder / "IMG_1.HEIC").write_bytes(bytes(100))
    with pytest.raises(ValueError, match="IMG_1.HEIC: not an image"):
        person_source.from_photos(config, str(folder / "IMG_1.HEIC"), 8)
    with pytest.raises(ValueError, match="photos .*nowhere: no such folder or photo"):
        person_source.from_photos(config, str(folder / "nowhere"), 8)


def test_a_face_that_is_small_in_its_photo_is_found(config, tmp_path, monkeypatch):
    def find(picture):  # bright, and at least an eighth of what is shown
        rows, columns = np.where(picture[..., 0] > 250)
        if not len(rows) or np.ptp(rows) < picture.shape[0] / 8:
            return "no face"
        steps = np.linspace(0, 1, 68)[:, None]
        return (steps * [np.ptp(columns), np.ptp(rows)] + [columns.min(), rows.min()]).astype(np.float32)

    monkeypatch.setattr(person_source, "get_detector", lambda *_, **__: ScriptedDetector(find))
    picture = np.zeros((1000, 1400, 3), np.uint8)
    picture[300:400, 800:900] = 255
    PIL.Image.fromarray(picture).save(tmp_path / "holiday.png")
    person = person_source.from_photos(config, str(tmp_path), 8)
    assert np.ptp(person.landmarks[0], axis=0) == pytest.approx([16, 16], abs=0.5)


def test_a_long_video_is_not_kept_in_memory(config, detector, monkeypatch):
    """Frames hold their number in one pixel; at most a few hundred heads live at a time."""
    alive = most = 0

    class Head(np.ndarray):
        pass

    def gone():
        nonlocal alive
        alive -= 1

    def crop_face(frame, *_):
        nonlocal alive, most
        head = np.zeros((4, 4, 3), np.uint8).view(Head)
        head[0, 0] = [frame[0, 0, 0], frame[0, 0, 1], 0]
        alive += 1
        most = max(most, alive)
        weakref.finalize(head, gone)
        return head, np.zeros((68, 2), np.float32)

    def frames(path):
        for number in range(3000):
            yield np.full((100, 100, 3), (number // 256, number % 256, 0), np.uint8)

    monkeypatch.setattr(person_source, "read_frames", frames)
    monkeypatch.setattr(person_source.crop, "crop_face", crop_face)
    person = person_source.from_video(config, "long.mp4", 4)
    numbers = person.frames[:, 0, 0, 0].astype(int) * 256 + person.frames[:, 0, 0, 1]
    np.testing.assert_allclose(numbers, [0, 1000, 2000, 3000], atol=50)
    assert most <= 140
