import numpy as np
import pytest

from tf_talking.landmarks import crop

# Spans x 40..80 and y 30..90: face size 60.
FACE = np.array([[40, 60], [80, 60], [60, 30], [60, 90]], np.float32)


def test_box_is_twice_the_face_and_a_sixth_of_it_higher():
    box = crop.crop_box(FACE)
    assert box.side == 120
    # Pixels x0 .. x0 + 119 are centred on x0 + 59.5; rounding may move the box by half a pixel.
    assert box.x0 + 59.5 == pytest.approx(60, abs=0.51)
    assert box.y0 + 59.5 == pytest.approx(60 - 60 / 6, abs=0.51)
    assert crop.face_size(FACE) == 60


@pytest.mark.parametrize("size", [60, 120, 240])
def test_landmarks_stay_on_what_they_mark(size):
    frame = np.zeros((200, 150, 3), np.uint8)
    for x, y in FACE.astype(int):
        frame[y - 1 : y + 2, x - 1 : x + 2] = 255
    image, landmarks = crop.crop_frame(frame, FACE, size)
    assert image.shape == (size, size, 3) and image.dtype == np.uint8
    assert landmarks.shape == (4, 2) and landmarks.dtype == np.float32
    rows, columns = np.mgrid[0:size, 0:size]
    reach = 6 * size / 120
    for x, y in landmarks:
        near = (np.abs(columns - x) < reach) & (np.abs(rows - y) < reach)
        weight = image[..., 0] * near
        assert weight.sum() > 0
        assert (weight * columns).sum() / weight.sum() == pytest.approx(x, abs=0.1)
        assert (weight * rows).sum() / weight.sum() == pytest.approx(y, abs=0.1)


def test_beyond_the_edge_the_border_is_repeated():
    frame = np.zeros((60, 60, 3), np.uint8)
    frame[0], frame[-1], frame[:, 0], frame[:, -1] = 10, 20, 30, 40
    box = crop.CropBox(-20, -30, 120)
    cut = crop.cut_box(frame, box)
    rows = np.clip(np.arange(120) - 30, 0, 59)
    columns = np.clip(np.arange(120) - 20, 0, 59)
    np.testing.assert_array_equal(cut, frame[rows][:, columns])
    with pytest.raises(ValueError, match="outside the frame of 60x60"):
        crop.cut_box(frame, crop.CropBox(60, 0, 10))


def test_fraction_outside_is_measured_in_faces():
    assert crop.fraction_outside(FACE, 120, 120) == 0
    assert crop.fraction_outside(FACE, 81, 91) == 0
    assert crop.fraction_outside(FACE - (46.5, 0), 120, 120) == pytest.approx(6 / 60)
    assert crop.fraction_outside(FACE, 120, 78.5) == pytest.approx(12 / 60)


@pytest.mark.parametrize(
    "landmarks, message",
    [
        (np.zeros((68, 3)), "expected \\[N, 2\\]"),
        (np.full((68, 2), np.inf), "finite"),
        (np.full((68, 2), 7.0), "span 0.00 pixels"),
        (np.zeros((0, 2)), "shape"),
    ],
)
def test_landmarks_without_a_box_are_refused(landmarks, message):
    with pytest.raises(ValueError, match=message):
        crop.crop_box(landmarks)


def test_frames_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="got float32"):
        crop.crop_frame(np.zeros((99, 99, 3), np.float32), FACE, 64)
