"""Episodes of other people: what all frames share, what stays, and what the numbers decide."""

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config import TrainConfig
from tf_talking.dataset.augmentation import augment
from tf_talking.landmarks.mirror import mirror
from tf_talking.procedural.render import Identity, Pose, render


@pytest.fixture(scope="module")
def episode():
    """K = 2 source frames and a target of a procedural person at 64 px."""
    drawn = [render(Identity.sample(3), Pose(yaw=yaw), size=64) for yaw in (-0.3, 0.0, 0.4)]
    frames = tf.constant(np.stack([frame for frame, _ in drawn]))
    landmarks = tf.constant(np.stack([points for _, points in drawn]).astype(np.float32))
    return {
        "source_frames": frames[:-1],
        "source_landmarks": landmarks[:-1],
        "target_frame": frames[-1],
        "target_landmarks": landmarks[-1],
        "video_index": tf.constant(5),
    }


def all_frames(episode):
    return np.concatenate([episode["source_frames"], episode["target_frame"][None]])


def all_landmarks(episode):
    return np.concatenate([episode["source_landmarks"], episode["target_landmarks"][None]])


def several(episode, count=32, seed=7, **options):
    compiled = tf.function(lambda number: augment(episode, number, seed=seed, **options))
    return [compiled(tf.constant(n, tf.int64)) for n in range(count)]


def test_nothing_happens_unless_asked(episode):
    found = augment(episode, tf.constant(3, tf.int64), seed=0)
    assert set(found) == set(episode)
    for name, value in found.items():
        np.testing.assert_array_equal(value, episode[name])


def test_half_of_the_episodes_are_mirrored_whole(episode):
    frames, landmarks = all_frames(episode), all_landmarks(episode)
    turned, turned_points = (turned.numpy() for turned in mirror(frames, landmarks))
    count = 0
    for found in several(episode, mirror=True):
        is_mirrored = (all_frames(found) == turned).all()
        count += is_mirrored
        np.testing.assert_array_equal(all_frames(found), turned if is_mirrored else frames)
        np.testing.assert_allclose(all_landmarks(found), turned_points if is_mirrored else landmarks, atol=1e-4)
        assert found["video_index"] == 5
    assert 8 <= count <= 24


def with_marks(episode):
    """The episode with landmarks on a coarse grid, and in each frame a bright blob at each."""
    grid = np.stack(np.meshgrid(*[np.linspace(20, 43, 3)] * 2), -1).reshape(-1, 2)
    y, x = np.mgrid[:64, :64]
    near = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / 4) for px, py in grid]
    frame = np.repeat((255 * np.max(near, 0)).astype(np.uint8)[..., None], 3, -1)
    points = tf.constant(grid, tf.float32)
    return episode | {
        "source_frames": tf.constant(np.stack([frame, frame])),
        "source_landmarks": tf.stack([points, points]),
        "target_frame": tf.constant(frame),
        "target_landmarks": points,
    }


def test_stretched_landmarks_stay_on_what_they_mark(episode):
    marked = with_marks(episode)
    y, x = np.mgrid[:64, :64]
    shapes = []
    for found in several(marked, count=12, stretch=0.3):
        frames, landmarks = all_frames(found), all_landmarks(found)
        assert frames.dtype == np.uint8 and frames.shape == (3, 64, 64, 3)
        for frame, points in zip(frames, landmarks, strict=True):
            np.testing.assert_array_equal(frame, frames[0])
            for px, py in points:
                near = frame[..., 0] * ((x - px) ** 2 + (y - py) ** 2 < 9.0)
                middle = (near * x).sum() / near.sum(), (near * y).sum() / near.sum()
                np.testing.assert_allclose(middle, (px, py), atol=0.5)
        shapes.append(np.ptp(landmarks[0], axis=0))
    widths, heights = np.transpose(shapes)
    # Wider and narrower, and the wider the lower.
    assert widths.max() > 1.15 * 23 and widths.min() < 23 / 1.15
    assert np.corrcoef(widths, heights)[0, 1] < -0.8


def test_stretching_leaves_no_black_border(episode):
    bright = dict(episode)
    bright["target_frame"] = tf.fill([64, 64, 3], tf.constant(200, tf.uint8))
    for found in several(bright, count=8, stretch=0.5):
        assert (found["target_frame"].numpy() == 200).all()


def test_colours_change_alike_in_all_frames_of_an_episode(episode):
    frames = all_frames(episode)
    # Pixels of one colour in two frames: whatever happens to one happens to the other.
    colors = [tuple(c) for f in frames for c in f.reshape(-1, 3)]
    means = []
    for found in several(episode, count=8, color_jitter=0.3):
        changed = all_frames(found)
        assert changed.dtype == np.uint8 and changed.shape == frames.shape
        np.testing.assert_array_equal(all_landmarks(found), all_landmarks(episode))
        becomes = {}
        for color, new in zip(colors, changed.reshape(-1, 3), strict=True):
            assert becomes.setdefault(color, tuple(new)) == tuple(new)
        means.append(changed.mean())
    assert np.std(means) > 5.0


def test_black_and_white_pixels_of_gray_stay_in_range(episode):
    ends = dict(episode)
    ends["target_frame"] = tf.constant(np.full((64, 64, 3), 255, np.uint8))
    ends["source_frames"] = tf.zeros([2, 64, 64, 3], tf.uint8)
    for found in several(ends, count=8, color_jitter=1.0):
        assert np.ptp(found["target_frame"].numpy(), axis=(0, 1)).max() == 0
        assert not found["source_frames"].numpy().any()


def test_crops_change_frame_by_frame_and_landmarks_stay_on_what_they_mark(episode):
    marked = with_marks(episode)
    y, x = np.mgrid[:64, :64]
    for found in several(marked, count=6, crop_jitter=0.2):
        frames, landmarks = all_frames(found), all_landmarks(found)
        sizes = np.ptp(landmarks, axis=1)
        assert len(np.unique(sizes[:, 0].round(3))) == 3
        np.testing.assert_allclose(sizes[:, 0], sizes[:, 1], rtol=1e-5)
        assert (np.abs(np.log(sizes / 23)) <= 0.2 + 1e-6).all()
        for frame, points in zip(frames, landmarks, strict=True):
            for px, py in points:
                near = frame[..., 0] * ((x - px) ** 2 + (y - py) ** 2 < 9.0)
                middle = (near * x).sum() / near.sum(), (near * y).sum() / near.sum()
                np.testing.assert_allclose(middle, (px, py), atol=0.5)


def test_half_of_the_landmark_images_show_another_shape_and_nothing_else_changes(episode):
    count = 0
    for found in several(episode, shape_jitter=1.0):
        drawn = found.pop("drawn_landmarks").numpy()
        for name, value in found.items():
            np.testing.assert_array_equal(value, episode[name])
        moved = np.abs(drawn - episode["target_landmarks"]).max()
        count += moved > 0.1
        assert moved < 0.01 or moved > 0.3
        assert moved < 8.0  # of 64 pixels: still a face
    assert 8 <= count <= 24


def test_number_and_seed_decide(episode):
    options = dict(mirror=True, stretch=0.2, color_jitter=0.3)
    first, again = (several(episode, 6, **options) for _ in range(2))
    other = several(episode, 6, seed=8, **options)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(all_frames(a), all_frames(b))
        assert (all_frames(a) != all_frames(c)).any()


def test_config_refuses_changes_out_of_range():
    with pytest.raises(ValueError, match="train.color_jitter: got 1.5, expected 0 to 1"):
        TrainConfig(color_jitter=1.5)
    with pytest.raises(ValueError, match="train.stretch: got -0.1, expected 0 to 0.5"):
        TrainConfig(stretch=-0.1)
