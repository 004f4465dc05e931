"""A detector that sees faces from a part of what it is shown on, as real ones do."""

import cv2
import numpy as np
import pytest

from tests.scripted_detector import ScriptedDetector
from tf_talking.landmarks.crop import face_size
from tf_talking.landmarks.detectors import get_detector
from tf_talking.landmarks.search import detect_in_photos
from tf_talking.procedural.motion import pose_track
from tf_talking.procedural.render import Identity, render_raw


class Nearsighted(ScriptedDetector):
    """A face is a bright square; it is seen from an eighth of the shorter side on, and whole."""

    def __init__(self):
        super().__init__(self._see)
        self.calls = 0

    def _see(self, picture):
        self.calls += 1
        rows, columns = np.where(picture[..., 0] > 250)
        if not len(rows):
            return "no face"
        left, top = columns.min(), rows.min()
        size = int((picture[top, left:, 0] > 250).argmin() or picture.shape[1] - left)
        if size < min(picture.shape[:2]) / 8 or (picture[top : top + size, left : left + size, 0] < 250).any():
            return "no face"
        corners = np.array([[left, top], [left + size - 1, top + size - 1]], np.float32)
        return np.concatenate([corners, np.repeat(corners[:1], 66, axis=0)])


def photo(*faces):
    picture = np.zeros((900, 1200, 3), np.uint8)
    for x, y, size in faces:
        picture[y : y + size, x : x + size] = 255
    return picture


@pytest.mark.parametrize("x, y, size", [(500, 300, 200), (5, 7, 100), (700, 500, 64), (1130, 830, 64), (433, 299, 66)])
def test_small_faces_are_found_where_they_are(x, y, size):
    (found,) = detect_in_photos(Nearsighted(), [photo((x, y, size))], 64)
    np.testing.assert_array_equal(found.landmarks[:2], [[x, y], [x + size - 1, y + size - 1]])
    assert face_size(found.landmarks) == size - 1


def test_two_people_stay_two_and_nobody_stays_nobody():
    (found,) = detect_in_photos(Nearsighted(), [photo((100, 100, 80), (900, 600, 80))], 64)
    assert found.reason == "several faces (2)"
    assert detect_in_photos(Nearsighted(), [photo()], 64)[0].reason == "no face"


def test_no_closer_than_the_smallest_face_needs():
    detector = Nearsighted()
    (found,) = detect_in_photos(detector, [photo((700, 500, 20))], 64)
    assert found.reason == "no face"
    searched = detector.calls
    detect_in_photos(detector, [photo((700, 500, 20))], 225)
    assert detector.calls - searched == 1, "whole photos show such faces"
    detect_in_photos(detector, [photo((0, 0, 300))] * 2, 64)
    assert detector.calls - searched == 3, "nor where a face is found"


def test_mediapipe_finds_a_small_drawn_person_where_it_stands_alone():
    identity, (pose,) = Identity.sample(3), pose_track((3, 0), 1)
    person = render_raw(identity, pose, 256)[0]
    y, x = np.mgrid[0:1800, 0:2400]
    photo = np.stack([90 + y // 20, 120 + y // 20, 60 + 20 * np.sin(x / 90)], -1).astype(np.uint8)
    photo[700:956, 1500:1756] = person
    with get_detector("mediapipe", video=False) as detector:
        assert detector.detect([photo])[0].reason == "no face"
        (found,) = detect_in_photos(detector, [photo], 64)
        alone = detector.detect([cv2.copyMakeBorder(person, 64, 64, 64, 64, cv2.BORDER_REPLICATE)])[0]
    difference = np.abs(found.landmarks - (alone.landmarks - 64 + [1500, 700]))
    assert difference.mean() < 3
