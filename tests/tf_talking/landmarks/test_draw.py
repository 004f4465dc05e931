import types

import cv2
import numpy as np
import pytest

from tf_talking.config import LandmarkConfig
from tf_talking.landmarks.draw import draw_landmarks, drawing_of, landmark_picture, round_landmarks
from tf_talking.landmarks.scheme import get_scheme


def _scattered(seed=0, points=68, size=64):
    return np.random.default_rng(seed).uniform(0, size, (points, 2)).astype(np.float32)


def _hidden(points=68):
    """All points on one spot far off the canvas."""
    return np.full((points, 2), -500.0, np.float32)


@pytest.mark.parametrize("thickness", [1, 2, 3])
def test_equals_opencv_polylines_part_by_part(thickness):
    landmarks = _scattered()
    expected = np.zeros((64, 64, 3), np.uint8)
    for part in get_scheme("ibug68", inner_lips=True).parts:
        line = np.floor(landmarks[list(part.indices)] + 0.5).astype(np.int32)
        cv2.polylines(expected, [line], part.closed, part.colour, thickness)
    image = draw_landmarks(landmarks, 64, line_thickness=thickness, inner_lips=True)
    np.testing.assert_array_equal(image, expected)


def test_a_level_brow_of_two_pixels_thickness():
    landmarks = _hidden()
    landmarks[17:22] = [(10, 20), (12, 20), (14, 20), (16, 20), (18, 20)]
    image = draw_landmarks(landmarks, 32)
    assert image.dtype == np.uint8 and image.shape == (32, 32, 3)
    red = np.argwhere((image == (255, 0, 0)).all(-1))
    assert set(red[:, 0]) == {19, 20, 21}  # OpenCV's thickness 2 is one pixel to either side
    assert (red[:, 1].min(), red[:, 1].max()) == (9, 19)
    assert np.count_nonzero(image) == len(red)


def test_later_parts_lie_above_earlier_ones():
    landmarks = _hidden()
    landmarks[0:17] = np.stack([np.arange(5, 22), np.full(17, 10)], axis=-1)  # jaw
    landmarks[48:60] = np.stack([np.full(12, 12), np.arange(4, 16)], axis=-1)  # lips across it
    image = draw_landmarks(landmarks, 32, line_thickness=1)
    assert tuple(image[10, 12]) == (255, 255, 0)
    assert tuple(image[10, 11]) == (255, 255, 255)


def test_rounding_is_half_up():
    points = round_landmarks([(1.49, 1.5), (-0.5, -0.51), (2.5, 0.49999997)])
    np.testing.assert_array_equal(points, [(1, 2), (0, -1), (3, 0)])


def test_points_that_are_not_finite_take_their_lines_with_them():
    landmarks = _scattered()
    whole = draw_landmarks(landmarks, 64)
    landmarks[2] = np.nan
    landmarks[40] = np.inf, 3
    image = draw_landmarks(landmarks, 64)
    changed = (image != whole).any(-1)
    white = (whole == 255).all(-1)
    assert changed.any() and (changed & white).any()
    np.testing.assert_array_equal((image == (255, 255, 0)).all(-1), (whole == (255, 255, 0)).all(-1))


def test_huge_coordinates_do_not_overflow():
    landmarks = _scattered()
    landmarks[:17] = 1e30
    image = draw_landmarks(landmarks, 64)
    assert not (image == 255).all(-1).any()


def test_gaze_marks_are_crosses():
    landmarks = _hidden(70)
    landmarks[68] = 16, 16
    image = draw_landmarks(landmarks, 32, scheme="ibug68_gaze", line_thickness=1)
    marked = {tuple(p) for p in np.argwhere(image.any(-1))}
    assert marked == {(16, 15), (16, 16), (16, 17), (15, 16), (17, 16)}
    assert tuple(image[16, 16]) == (128, 255, 128)


def test_wrong_number_of_points_is_named():
    with pytest.raises(ValueError, match=r"landmarks: got shape \(5, 2\), expected \(68, 2\)"):
        draw_landmarks(np.zeros((5, 2)), 64)


def test_picture_of_a_config():
    rng = np.random.default_rng(5)
    landmarks = rng.uniform(2, 30, (2, 70, 2)).astype(np.float32)
    drawing = LandmarkConfig(scheme="ibug68_gaze", line_thickness=1, inner_lips=True)
    pictures = landmark_picture(drawing, landmarks, 32)
    assert pictures.shape == (2, 32, 32, 3) and pictures.dtype == np.uint8
    for points, picture in zip(landmarks, pictures, strict=True):
        expected = draw_landmarks(points, 32, "ibug68_gaze", 1, True)
        np.testing.assert_array_equal(picture, expected)
        np.testing.assert_array_equal(landmark_picture(drawing, points, 32), expected)


def test_drawing_of_a_card():
    card = types.SimpleNamespace(detector="mediapipe", scheme="ibug68_gaze", extra={})
    assert drawing_of(card) == LandmarkConfig(scheme="ibug68_gaze")
    card.extra = {"line_thickness": "1", "inner_lips": "True"}
    assert drawing_of(card) == LandmarkConfig(scheme="ibug68_gaze", line_thickness=1, inner_lips=True)
