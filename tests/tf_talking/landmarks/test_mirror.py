"""Mirrored faces and the names of their points."""

import numpy as np
import pytest

from tf_talking.landmarks.mirror import mirror, mirror_order
from tf_talking.landmarks.scheme import get_scheme
from tf_talking.procedural.render import Identity, Pose, render


@pytest.fixture(scope="module")
def face():
    """Frames [1, 64, 64, 3] and landmarks of one frontal procedural face."""
    frame, landmarks = render(Identity.sample(3), Pose(), size=64)
    return frame[np.newaxis], landmarks[np.newaxis].astype(np.float32)


def test_mirrored_points_are_of_the_mirrored_part():
    order = mirror_order(70)
    np.testing.assert_array_equal(order[order], np.arange(70))
    parts = {part.name: set(part.indices) for part in get_scheme("ibug68_gaze", inner_lips=True).parts}
    for name, points in parts.items():
        other = name.replace("right", "?").replace("left", "right").replace("?", "left")
        assert set(order[list(points)]) == parts[other]
    np.testing.assert_array_equal(mirror_order(68), order[:68])
    with pytest.raises(ValueError, match="got 5 landmarks, expected 68 or 70"):
        mirror_order(5)


def test_frontal_face_is_nearly_its_own_mirror_image(face):
    """With one pair of points wrong the largest distance would be that of two parts."""
    shown, before = face
    frames, landmarks = (turned.numpy() for turned in mirror(shown, before))
    centred = [points[0] - points[0].mean(axis=0) for points in (before, landmarks)]
    assert np.linalg.norm(centred[0] - centred[1], axis=1).max() < 2.0  # pixels of 64
    again, back = mirror(frames, landmarks)
    np.testing.assert_array_equal(again, shown)
    np.testing.assert_allclose(back, before, atol=1e-4)
