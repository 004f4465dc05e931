"""Mirrored faces, views of one frame, and what is held out of several."""

import cv2
import numpy as np
import pytest

from tf_talking.procedural.render import Identity, Pose, render
from training.person.frames import PersonFrames
from training.person.held_out import hold_out, views


@pytest.fixture(scope="module")
def face():
    """One frontal procedural face at 64 px."""
    frame, landmarks = render(Identity.sample(3), Pose(), size=64)
    return PersonFrames(frame[np.newaxis], landmarks[np.newaxis].astype(np.float32), "face")


def several(count):
    frames = np.zeros((count, 8, 8, 3), np.uint8) + np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    landmarks = np.zeros((count, 68, 2), np.float32) + np.arange(count).reshape(-1, 1, 1)
    return PersonFrames(frames, landmarks.astype(np.float32), "several")


def test_landmarks_of_views_stay_on_their_pixels():
    """A bright dot on a landmark is at that landmark in every view."""
    frame = np.zeros((1, 64, 64, 3), np.uint8)
    cv2.circle(frame[0], (30, 38), 3, (255, 255, 255), -1)
    person = PersonFrames(frame, np.full((1, 68, 2), (30, 38), np.float32), "dot")
    seen = views(person, 6)
    assert len(seen) == 6 and seen.frames.dtype == np.uint8
    assert seen.landmarks.dtype == np.float32
    for shown, points in zip(seen.frames, seen.landmarks, strict=True):
        weight = shown[..., 0].astype(float)
        rows, columns = np.mgrid[:64, :64]
        centre = (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()
        np.testing.assert_allclose(points, [centre] * 68, atol=0.15)
    assert len({tuple(points[0]) for points in seen.landmarks}) == 6
    np.testing.assert_array_equal(views(person, 6).frames, seen.frames)


def test_several_frames_lose_those_that_are_watched():
    person = several(8)
    kept, out = hold_out(person, count=2, seed=1)
    assert (len(kept), len(out)) == (6, 2)
    numbers = [sorted(p.frames[:, 0, 0, 0].tolist()) for p in (kept, out)]
    assert sorted(numbers[0] + numbers[1]) == list(range(8)) and 0 in numbers[0]
    for part in (kept, out):
        np.testing.assert_array_equal(part.landmarks[:, 0, 0], part.frames[:, 0, 0, 0])
    with pytest.raises(ValueError, match="count: got 8 of 8 frames, expected 1 to T - 1"):
        hold_out(person, count=8)


def test_one_frame_is_kept_and_watched_in_other_views(face):
    kept, out = hold_out(face, num_views=4)
    assert kept is face and len(out) == 4
    assert all(np.abs(view.astype(int) - face.frames[0]).mean() > 3 for view in out.frames)
