"""Landmarks of another shape: what changes, and that pose and expression stay."""

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.landmarks.other_shape import NUM_MEASURES, other_shape
from tf_talking.procedural.render import Identity, Pose, render

NAMES = "face jaw chin apart eye_size eye_height brows nose nostrils place mouth lips".split()


@pytest.fixture(scope="module")
def points():
    _, found = render(Identity.sample(3), Pose(), size=256)
    return found.astype(np.float32)


def changed(points, **amounts):
    values = [amounts.get(name, 0.0) for name in NAMES]
    return other_shape(tf.constant(points), tf.constant(values, tf.float32)).numpy()


def eyes_apart(points):
    return np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))


def test_no_amount_changes_nothing(points):
    assert len(NAMES) == NUM_MEASURES
    np.testing.assert_allclose(changed(points), points, atol=1e-3)


@pytest.mark.parametrize(
    "name, moved",
    [
        ("face", range(0, 17)),
        ("jaw", range(0, 17)),
        ("chin", range(1, 16)),
        ("apart", [*range(17, 27), *range(36, 48)]),
        ("eye_size", range(36, 48)),
        ("eye_height", range(36, 48)),
        ("brows", range(17, 27)),
        ("nose", range(28, 36)),
        ("nostrils", range(31, 36)),
        ("place", range(48, 68)),
        ("mouth", range(48, 68)),
        ("lips", range(48, 68)),
    ],
)
def test_each_measure_moves_its_own_points(points, name, moved):
    distance = np.linalg.norm(changed(points, **{name: 2.0}) - points, axis=1)
    others = np.setdiff1d(np.arange(len(points)), list(moved))
    assert distance[others].max() < 1e-3
    assert distance[list(moved)].max() > 0.015 * eyes_apart(points)
    opposite = changed(points, **{name: -2.0})
    np.testing.assert_allclose(changed(points, **{name: 2.0}) + opposite, 2 * points, atol=1e-2)


def test_spreads_are_those_of_people(points):
    assert eyes_apart(changed(points, apart=1.0)) / eyes_apart(points) == pytest.approx(1.06, abs=0.02)
    width = np.ptp(points[48:60, 0])
    assert np.ptp(changed(points, mouth=1.0)[48:60, 0]) / width == pytest.approx(1.08, abs=0.01)


def test_a_closed_mouth_stays_closed(points):
    shut = points.copy()
    shut[[67, 66, 65]] = shut[[61, 62, 63]]
    found = changed(shut, mouth=2.0, lips=2.0, place=-2.0)
    np.testing.assert_allclose(found[[67, 66, 65]], found[[61, 62, 63]], atol=1e-3)


def test_a_turned_larger_face_changes_likewise(points):
    angle, size, shift = 0.6, 0.5, np.float32([40.0, -12.0])
    turn = size * np.float32([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    amounts = dict(zip(NAMES, np.linspace(-2, 2, NUM_MEASURES), strict=True))
    np.testing.assert_allclose(
        changed(points @ turn + shift, **amounts), changed(points, **amounts) @ turn + shift, atol=1e-2
    )


def test_irises_move_with_their_eyes(points):
    with_irises = np.concatenate([points[:68], points[36:42].mean(0)[None], points[42:48].mean(0)[None]])
    found = changed(with_irises, apart=2.0, eye_size=1.0)
    np.testing.assert_allclose(found[68], found[36:42].mean(0), atol=1e-2)
    np.testing.assert_allclose(found[69], found[42:48].mean(0), atol=1e-2)
