import cv2
import numpy as np
import pytest

from serving.drive import heads
from tests.scripted_detector import ScriptedDetector
from tests.serving.client_helpers import SIZE, make_card
from tests.serving.drive.clips import face
from tf_talking.media.video_reader import TimedPicture


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
    found, chunks = face(48, 32, 20), []

    class Scripted(ScriptedDetector):
        def detect(self, frames, boxes=None):
            chunks.append(len(frames))
            return super().detect(frames, boxes)

    detector = Scripted.in_order(["no face", found, "no face", found])
    monkeypatch.setattr(heads, "get_detector", lambda *_, **__: detector)
    pictures = (TimedPicture(k, 0.3 * k, np.full((64, 96, 3), 10 * k, np.uint8)) for k in range(4))
    items = list(heads.detected_live(pictures, make_card()))
    assert chunks == [1] * 4 and [round(item.seconds, 1) for item in items] == [0.3, 0.6, 0.9]
    assert [item.held_because for item in items] == [None, "no face", None]
    np.testing.assert_array_equal(items[1].landmarks, items[0].landmarks)


def pictures(count):
    return (TimedPicture(k, k / 25, np.zeros((64, 192, 3), np.uint8)) for k in range(count))


@pytest.mark.parametrize("live", [False, True])
def test_one_of_several_faces_is_followed(detect_as, live):
    left, right = face(40, 32, 20), face(140, 32, 22)

    def driven(script, which=None):
        detect_as(script)
        if live:
            return list(heads.detected_live(pictures(len(script)), make_card(), which))
        return list(heads.detected(pictures(len(script)), make_card(), "x.mp4", which))

    alone = driven([[left]])[0].landmarks
    items = driven([[left], [left, right], [right, left]])  # the second one comes in
    assert [item.held_because for item in items] == [None] * 3
    for item in items:
        np.testing.assert_array_equal(item.landmarks, alone)
    items = driven([[left, right]] * 3, "left")
    np.testing.assert_array_equal(items[2].landmarks, alone)
    assert len(items) == 3
    if live:
        assert driven([[left, right]] * 3) == []
    else:
        with pytest.raises(ValueError, match=r"x.mp4: .*\(several faces \(2\); face says which one\)"):
            driven([[left, right]] * 3)
