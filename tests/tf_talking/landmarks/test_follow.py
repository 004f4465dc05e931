import numpy as np
import pytest

from tf_talking.landmarks.follow import FollowedFace


def face(x: float, size: float = 100) -> np.ndarray:
    return np.array([[x, 0], [x + size, size]], np.float32)


def where(follower: FollowedFace, *frames) -> list:
    """The left edge of what is chosen in each frame, or why nothing is."""
    chosen = [follower.choose([face(*of) if isinstance(of, tuple) else face(of) for of in faces]) for faces in frames]
    return [found.reason if found.landmarks is None else found.landmarks[0, 0] for found in chosen]


def test_who_comes_in_is_not_followed():
    assert where(FollowedFace(), [0], [10, 300], [320, 20], [(25, 90), (310, 140)]) == [0, 10, 20, 25]


@pytest.mark.parametrize("start, chosen", [(None, "several faces (2)"), ("left", 0), ("right", 200), ("largest", 200)])
def test_the_first_of_several_is_chosen_as_told(start, chosen):
    frames = [[(200, 120), (0, 100), (400, 10)]] * 2  # somebody small in the background is not meant
    assert where(FollowedFace(start), *frames) == [chosen] * 2
    assert where(FollowedFace(start), [], [7]) == ["no face", 7]
    with pytest.raises(ValueError, match="face: got 'top', expected one of largest, left, right"):
        FollowedFace("top")


def test_another_face_does_not_take_the_place_of_the_one_that_is_lost():
    follower = FollowedFace("left")
    assert where(follower, [0, 300], [300], [], [5, 300]) == [0, "another face", "no face", 5]
    frames = [[300]] * 30  # it does not come back
    chosen = where(follower, *frames)
    assert chosen[0] == "another face" and chosen[-1] == 300


def test_a_cut_to_another_face_is_taken_at_once():
    frames = [[0]] * 30 + [[400]] * 2
    assert where(FollowedFace(), *frames)[-2:] == [400, 400]


def test_a_face_found_twice_is_the_larger_one():
    assert where(FollowedFace(), [0], [(30, 40), 2], [(28, 45), 4]) == [0, 2, 4]
