"""Procedural people: landmarks are where the features are, poses do what they say."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from tf_talking.dataset import records
from tf_talking.media import jpeg
from tf_talking.procedural.motion import pose_track
from tf_talking.procedural.render import Identity, Pose, render, render_raw, render_video

SIZE = 256
TURNS = [Pose(), Pose(yaw=30, pitch=10, roll=-12), Pose(yaw=-35, pitch=-12, roll=15)]


def plain_person(seed: int = 3, **looks) -> Identity:
    """A person with nothing in front of the face and gentle colours."""
    return dataclasses.replace(
        Identity.sample(seed),
        hair_style="bald",
        beard="none",
        glasses="none",
        hat="none",
        freckles=0,
        earrings=False,
        hair_colour=(120, 120, 120),
        brow_colour=(60, 60, 60),
        clothes_colour=(128, 128, 128),
        clothes_colour_2=(128, 128, 128),
        background_colour=(90, 90, 90),
        background_colour_2=(90, 90, 90),
        eye_colour=(80, 80, 80),
        **looks,
    )


def region(points: np.ndarray, grow: int = 0) -> np.ndarray:
    """bool [SIZE, SIZE] of a polygon, its outline moved outwards (or inwards) by some pixels."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(mask, [np.rint(points * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    kernel = np.ones((2 * abs(grow) + 1, 2 * abs(grow) + 1), np.uint8)
    return (cv2.dilate(mask, kernel) if grow >= 0 else cv2.erode(mask, kernel)) > 0


def greenish(frame: np.ndarray, margin: int = 40) -> np.ndarray:
    red, green, blue = np.moveaxis(frame.astype(int), -1, 0)
    return (green - red > margin) & (green - blue > margin)


def test_same_seed_gives_the_same_frames():
    first, second = (render_video(11, 3, 64, track_seed=2) for _ in range(2))
    assert first.frames == second.frames
    np.testing.assert_array_equal(first.landmarks, second.landmarks)


def test_people_differ_and_tracks_of_one_person_share_the_looks():
    frames = [render(Identity.sample(seed), Pose(), 64)[0].astype(int) for seed in range(14)]
    distances = [np.abs(a - b).mean() for a, b in itertools.combinations(frames, 2)]
    assert min(distances) > 8
    assert np.mean(distances) > 30
    one, other = render_video(5, 2, 64, track_seed=0), render_video(5, 2, 64, track_seed=1)
    assert one.identity == other.identity == "procedural_000005"
    assert one.video_id != other.video_id
    assert np.abs(one.landmarks - other.landmarks).max() > 2


def test_record_is_whole():
    record = render_video(7, 4, 64)
    records.check_record(record)
    assert (record.detector, record.scheme, record.image_size) == ("procedural", "ibug68", 64)
    assert record.landmarks.shape == (4, 68, 2)
    for data in record.frames:
        assert jpeg.decode(data).shape == (64, 64, 3)


@pytest.mark.parametrize("size", [64, 128])
def test_landmarks_lie_inside_the_frame(size):
    for seed in range(12):
        for pose in pose_track(seed, 40)[::6]:
            frame, landmarks = render(Identity.sample(seed), pose, size)
            assert frame.shape == (size, size, 3) and frame.dtype == np.uint8
            assert landmarks.shape == (68, 2) and landmarks.dtype == np.float32
            assert landmarks.min() > 0.05 * size and landmarks.max() < 0.95 * size


@pytest.mark.parametrize("pose", TURNS)
def test_irises_are_inside_the_eye_landmarks(pose):
    person = dataclasses.replace(plain_person(), eye_colour=(0.0, 230.0, 0.0), eye_open=1.2)
    frame, landmarks = render(person, pose, SIZE)
    green = greenish(frame)
    eyes = [landmarks[36:42], landmarks[42:48]]
    assert not (green & ~region(eyes[0], 3) & ~region(eyes[1], 3)).any()
    for eye in eyes:
        iris = green & region(eye)
        assert iris.sum() > 0.12 * region(eye).sum()
        y, x = np.nonzero(iris)
        assert np.linalg.norm(eye.mean(0) - [x.mean(), y.mean()]) < 3
    closed = dataclasses.replace(pose, blink_left=1.0, blink_right=1.0)
    assert greenish(render(person, closed, SIZE)[0]).sum() < 0.1 * green.sum()


@pytest.mark.parametrize("pose", TURNS)
@pytest.mark.parametrize("mouth", [0.0, 0.8])
def test_lips_end_at_the_lip_landmarks(pose, mouth):
    person = plain_person(lip_colour=(0.0, 200.0, 0.0))
    person = dataclasses.replace(person, lip_thickness=1.4)
    frame, landmarks = render(person, dataclasses.replace(pose, mouth=mouth), SIZE)
    green = greenish(frame)
    outer, inner = landmarks[48:60], landmarks[60:68]
    assert not (green & ~region(outer, 3)).any()
    lips = region(outer, -2) & ~region(inner, 3)
    assert green[lips].mean() > 0.9
    for x, y in np.rint(outer).astype(int):
        assert green[y - 2 : y + 3, x - 2 : x + 3].any()
    if mouth:
        assert not greenish(frame)[region(inner, -3)].any()


@pytest.mark.parametrize("pose", TURNS)
def test_brow_landmarks_run_along_the_brows(pose):
    person = dataclasses.replace(plain_person(), brow_colour=(0.0, 220.0, 0.0), brow_thickness=0.07)
    frame, landmarks = render(person, pose, SIZE)
    green = greenish(frame)
    for x, y in np.rint(landmarks[[18, 19, 20, 23, 24, 25]]).astype(int):
        assert green[y, x]


@pytest.mark.parametrize("yaw", [-35, 0, 35])
def test_jaw_landmarks_follow_the_visible_outline(yaw):
    person = plain_person(skin=(60.0, 220.0, 60.0), lip_colour=(60.0, 160.0, 60.0))
    frame, landmarks = render(person, Pose(yaw=yaw), SIZE)
    skin = greenish(frame, 20)
    # Between ear and chin; the far side of a turned head, both sides of a frontal one.
    sides = {-35: [(3, -1)], 0: [(4, -1), (12, 1)], 35: [(13, 1)]}[yaw]
    for index, direction in sides:
        x, y = np.rint(landmarks[index]).astype(int)
        assert skin[y, x - 5 * direction]
        assert not skin[y, x + 7 * direction]


def test_mouth_opens_and_smiles():
    person = Identity.sample(4)
    gaps = [
        np.linalg.norm(points[66] - points[62])
        for points in (render_raw(person, Pose(mouth=m), 512)[1] for m in (0.0, 0.5, 1.0))
    ]
    assert gaps[0] < 3 and gaps[1] > gaps[0] + 8 and gaps[2] > gaps[1] + 8
    neutral, smiling = (render_raw(person, Pose(smile=s), 512)[1] for s in (0.0, 1.0))
    assert smiling[54, 0] - smiling[48, 0] > neutral[54, 0] - neutral[48, 0] + 3
    assert smiling[48, 1] < neutral[48, 1] - 3


def test_blink_of_one_eye_closes_that_eye_only():
    person = Identity.sample(4)
    opened, winking = (render_raw(person, Pose(blink_left=b), 512)[1] for b in (0.0, 1.0))
    height = [points[41, 1] - points[37, 1] for points in (opened, winking)]
    assert height[1] < 0.2 * height[0]
    np.testing.assert_allclose(opened[42:48], winking[42:48])


def test_signs_of_the_angles():
    person = Identity.sample(8)

    def points(**pose):
        return render_raw(person, Pose(**pose), 512)[1]

    front = points()
    for yaw in (25, -25):
        turned = points(yaw=yaw)
        assert np.sign(turned[30, 0] - turned[27, 0]) == np.sign(yaw)
        left, right = turned[30, 0] - turned[0, 0], turned[16, 0] - turned[30, 0]
        assert (right < 0.6 * left) == (yaw > 0) and (left < 0.6 * right) == (yaw < 0)
    np.testing.assert_allclose(front[30, 0], front[[0, 16], 0].mean(), atol=0.5)
    eyes_to_nose = [points(pitch=p)[30, 1] - points(pitch=p)[[36, 45], 1].mean() for p in (15, -15)]
    assert eyes_to_nose[0] < eyes_to_nose[1] - 5  # looking up lifts the tip of the nose
    assert points(roll=15)[45, 1] > points(roll=15)[36, 1] + 10  # clockwise: image right goes down


def test_pose_changes_pixels_and_the_background_stays():
    person = plain_person()
    first = render_raw(person, Pose(yaw=-30), 160)[0].astype(int)
    second = render_raw(person, Pose(yaw=30), 160)[0].astype(int)
    difference = np.abs(first - second).mean(-1)
    assert difference[50:100, 50:110].mean() > 10
    assert difference[:, :12].max() == 0 and difference[:, -12:].max() == 0


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="identity seed: got -1"):
        Identity.sample(-1)
