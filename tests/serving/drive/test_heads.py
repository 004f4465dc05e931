import contextlib

import cv2
import numpy as np
import pytest

from serving.drive import heads
from tests.serving.client_helpers import SIZE, make_card
from tests.serving.drive.clips import face
from tf_talking.landmarks.detector import Detection


def test_source_photos_are_cropped_like_the_frames(tmp_path, detect_as):
    photo = tmp_path / "ada.png"
    cv2.imwrite(str(photo), np.full((100, 120, 3), 55, np.uint8))
    detect_as([face(60, 50, 30)])
    cropped = heads.crop_photo(photo, make_card())
    assert cropped.shape == (SIZE, SIZE, 3) and (cropped == 55).all()
    detect_as(["several faces (2)"])
    with pytest.raises(ValueError, match=r"ada.png: several faces \(2\), expected a photo with"):
        heads.crop_photo(photo, make_card())


def test_a_live_video_is_detected_frame_by_frame_and_starts_with_the_first_face(monkeypatch):
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    face = (np.stack([np.cos(angles), np.sin(angles)], 1) * 10 + (48, 32)).astype(np.float32)
    script = ["no face", face, "no face", face]

    class Scripted(contextlib.nullcontext):
        def detect(self, frames):
            assert len(frames) == 1
            found = script.pop(0)
            return [Detection(None, found) if isinstance(found, str) else Detection(found)]

        def __enter__(self):
            return self

    monkeypatch.setattr(heads, "get_detector", lambda *_, **__: Scripted())
    images = (np.full((64, 96, 3), 10 * index, np.uint8) for index in range(4))
    items = list(heads.detected_live(images, make_card()))
    assert [item.held_because for item in items] == [None, "no face", None]
    np.testing.assert_array_equal(items[1].landmarks, items[0].landmarks)
