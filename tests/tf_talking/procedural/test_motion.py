import numpy as np
import pytest

from tf_talking.procedural.motion import PITCH_LIMIT, ROLL_LIMIT, YAW_LIMIT, pose_track


def test_tracks_are_smooth_varied_and_within_limits():
    for seed in range(30):
        track = pose_track(seed, 40)
        angles = np.array([[p.yaw, p.pitch, p.roll] for p in track])
        assert (np.abs(angles) <= [YAW_LIMIT, PITCH_LIMIT, ROLL_LIMIT]).all()
        assert np.ptp(angles[:, 0]) > 25
        assert np.abs(np.diff(angles, axis=0)).max() < 15
        assert np.ptp([p.mouth for p in track]) > 0.3
        assert max(p.blink_left + p.blink_right for p in track) >= 1
        assert all(0 <= p.mouth <= 1 and -1 <= p.smile <= 1 for p in track)


def test_longer_track_begins_with_the_shorter_one():
    assert pose_track((3, 1), 50)[:20] == pose_track((3, 1), 20)
    assert pose_track((3, 1), 20) != pose_track((3, 2), 20)


def test_no_frames_are_an_error():
    with pytest.raises(ValueError, match="num_frames: got 0"):
        pose_track(0, 0)
