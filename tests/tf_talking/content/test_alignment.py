"""Alignment inside the graph against OpenCV's, its gradient, and XLA."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.content.alignment import align_faces
from tf_talking.metrics import face_recognition


@pytest.fixture(scope="module")
def faces():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (3, 128, 128, 3), np.uint8)
    frames = np.stack([cv2.GaussianBlur(frame, (9, 9), 0) for frame in frames])
    landmarks = rng.normal(64, 8, (3, 68, 2)).astype(np.float32)
    for at, point in ((slice(36, 42), (45, 50)), (slice(42, 48), (80, 55)), (30, (63, 70))):
        landmarks[:, at] = point
    landmarks[:, 48], landmarks[:, 54] = (50, 92), (78, 90)
    landmarks[2] -= (40, 0)  # partly outside the frame
    return frames, landmarks


@pytest.mark.parametrize("width", [112, 96])
def test_equals_opencv(faces, width):
    frames, landmarks = faces
    expected = face_recognition.align_faces(frames, landmarks, width).astype(np.float32)
    aligned = align_faces(tf.constant(frames, tf.float32), tf.constant(landmarks), width)
    assert aligned.shape == (3, 112, width, 3)
    # OpenCV looks up in 32nds of a pixel and rounds to a level. The frame's edge is another matter
    # there, so pixels that take part of their value from outside are left out.
    inside = (expected.min(axis=-1) > 0).astype(np.uint8)
    inside = np.stack([cv2.erode(mask, np.ones((5, 5))) for mask in inside]).astype(bool)
    difference = np.abs(aligned.numpy() - expected)[inside]
    assert difference.max() < 2.0 and difference.mean() < 0.3
    assert inside[:2].mean() > 0.8 and 0.2 < inside[2].mean() < 0.9


def test_gradient_goes_to_the_pixels_looked_up(faces):
    frames, landmarks = faces
    x = tf.constant(frames, tf.float32)
    weights = tf.random.stateless_normal([3, 112, 112, 3], [1, 2])

    def loss(x):
        return tf.reduce_sum(weights * align_faces(x, tf.constant(landmarks)))

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(x)
    gradient = tape.gradient(value, x)
    # The look-up is linear, so the gradient gives the change of the loss exactly.
    change = tf.random.stateless_normal(x.shape, [3, 4])
    expected = tf.reduce_sum(gradient * change)
    np.testing.assert_allclose(loss(x + change) - value, expected, rtol=1e-3)


def test_compiled_by_xla_with_its_gradient(faces):
    frames, landmarks = faces

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(align_faces(x, tf.constant(landmarks)) ** 2)
        return tape.gradient(value, x)

    x = tf.constant(frames, tf.float32)
    expected, compiled = gradient(x), tf.function(gradient, jit_compile=True)(x)
    scale = np.abs(expected.numpy()).max()
    np.testing.assert_allclose(compiled, expected, atol=1e-5 * scale)
