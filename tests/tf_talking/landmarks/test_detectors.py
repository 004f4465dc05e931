import pytest

from tf_talking.landmarks.detectors import get_detector


def test_unknown_detectors_are_refused():
    with pytest.raises(ValueError, match="'dlib', expected one of mediapipe, face_alignment"):
        get_detector("dlib")
