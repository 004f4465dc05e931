"""Nearest source frame, by hand."""

import numpy as np

from tf_talking.landmarks.nearest import nearest_source


def test_nearest_source_by_hand():
    sources = np.zeros((2, 68, 2))
    sources[1] += 10.0
    drivings = np.zeros((3, 68, 2)) + np.array([1.0, 9.0, 4.9])[:, None, None]
    np.testing.assert_array_equal(nearest_source(sources, drivings), [0, 1, 0])


def test_nearest_source_is_the_one_with_the_closest_landmarks():
    sources = np.zeros((3, 68, 2), np.float32)
    sources[1] += 10
    sources[2] += 20
    driving = np.stack([sources[2] - 4, sources[0] + 4, sources[1] + 1])
    np.testing.assert_array_equal(nearest_source(sources, driving), [2, 0, 1])
