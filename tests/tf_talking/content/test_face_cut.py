"""What VGGFace sees where the face is cut out by its landmarks, against OpenCV."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config.presets import get_preset
from tf_talking.content.face_cut import FaceCutOut, cut_out_faces, face_squares
from tf_talking.content.networks import build_content_networks
from tf_talking.losses import image_terms

SIZE = 64


@pytest.fixture(scope="module")
def faces():
    """Smooth frames; a face in the middle, one over the left edge, one at the bottom."""
    rng = np.random.default_rng(0)
    frames = rng.uniform(-1, 1, (3, SIZE, SIZE, 3)).astype(np.float32)
    frames = np.stack([cv2.GaussianBlur(frame, (9, 9), 0) for frame in frames])
    landmarks = rng.uniform(22, 42, (3, 70, 2)).astype(np.float32)
    landmarks[:, 0], landmarks[:, 16] = (18, 30), (46, 30)
    landmarks[:, 27], landmarks[:, 8] = (32, 26), (32, 50)
    landmarks[:, 68:] = 1000.0  # pupils take no part
    landmarks[1] -= (20, 0)
    landmarks[2] += (0, 12)
    return frames, landmarks


def test_square_reaches_from_the_brow_to_under_the_chin(faces):
    left, top, side = face_squares(tf.constant(faces[1])).numpy()[0]
    # Bridge at 26.5 and chin at 50.5, where pixel i covers i … i + 1; 18.5 … 46.5 across.
    assert top == pytest.approx(26.5 - 0.47 * 24) and top + side == pytest.approx(50.5 + 0.2 * 24)
    assert left + side / 2 == pytest.approx(32.5)


def test_equals_opencv_with_mirrored_edges(faces):
    frames, landmarks = faces
    cut = cut_out_faces(tf.constant(frames), tf.constant(landmarks)).numpy()
    for frame, (left, top, side), ours in zip(frames, face_squares(landmarks).numpy(), cut, strict=True):
        scale = side / SIZE
        back = np.array([[scale, 0, left + scale / 2 - 0.5], [0, scale, top + scale / 2 - 0.5]])
        theirs = cv2.warpAffine(
            frame, back, (SIZE, SIZE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
        )
        np.testing.assert_allclose(ours, theirs, atol=0.02)  # OpenCV looks up in 32nds of a pixel
    assert face_squares(landmarks).numpy()[1, 0] < 0  # one does reach beyond its frame


def test_a_face_upside_down_gives_a_finite_picture(faces):
    frames, landmarks = faces
    upside_down = landmarks.copy()
    upside_down[:, [8, 27]] = landmarks[:, [27, 8]]
    assert np.isfinite(cut_out_faces(tf.constant(frames), tf.constant(upside_down))).all()


def test_vggface_gets_the_face_and_its_gradient_stays_there(faces):
    frames, landmarks = faces
    losses = get_preset("fsth").losses
    assert losses.face_is_cut_out and not get_preset("paper").losses.face_is_cut_out
    networks = build_content_networks(None, "vggface", "random", image_size=SIZE, cut_face=True)
    assert isinstance(networks["face"].model, FaceCutOut)
    fake = tf.constant(frames[::-1].copy())
    with tf.GradientTape() as tape:
        tape.watch(fake)
        value = image_terms(losses, networks, tf.constant(frames), fake, tf.constant(landmarks))["content_face"]
    moved = np.abs(tape.gradient(value, fake).numpy()[0]).sum(axis=-1) > 0
    left, top, side = face_squares(landmarks).numpy()[0]
    rows, columns = np.nonzero(moved)
    assert moved.any()
    assert rows.min() >= top - 2 and rows.max() <= top + side + 1
    assert columns.min() >= left - 2 and columns.max() <= left + side + 1
    # The network is the one that sees whole frames otherwise.
    model = networks["face"].model.model
    assert isinstance(model, keras.Model)
    whole = model(cut_out_faces(tf.constant(frames), tf.constant(landmarks)))
    for ours, theirs in zip(networks["face"](tf.constant(frames), tf.constant(landmarks)), whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)
