"""Invariant 10: the rasteriser agrees with an OpenCV drawing; here, in every pixel."""

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.landmarks.draw import draw_landmarks
from tf_talking.landmarks.rasterizer import rasterize
from tf_talking.landmarks.scheme import get_scheme
from tf_talking.procedural.motion import pose_track
from tf_talking.procedural.render import Identity, render


def _assert_equals_opencv(landmarks, size, **options):
    landmarks = np.asarray(landmarks, np.float32)
    images = rasterize(tf.constant(landmarks), size, **options).numpy()
    assert images.dtype == np.uint8 and images.shape == (len(landmarks), size, size, 3)
    expected = np.stack([draw_landmarks(points, size, **options) for points in landmarks])
    wrong = (images != expected).any(-1)
    assert not wrong.any(), f"{wrong.sum()} of {expected.any(-1).sum()} line pixels differ"


def _random_landmarks(kind, size, seed=0, count=6, points=68):
    rng = np.random.default_rng(seed)
    if kind == "face":  # clusters, short lines
        centre = rng.uniform(0.2 * size, 0.8 * size, (count, 1, 2))
        return centre + rng.normal(0, 0.05 * size, (count, points, 2))
    if kind == "inside":
        return rng.uniform(4, size - 5, (count, points, 2))
    if kind == "across the border":
        return rng.uniform(-0.3 * size, 1.3 * size, (count, points, 2))
    if kind == "far off":
        return rng.normal(0, 20 * size, (count, points, 2))
    if kind == "halves":
        return np.round(2 * rng.uniform(-5, size + 5, (count, points, 2))) / 2
    raise AssertionError(kind)


@pytest.mark.parametrize("thickness", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["face", "inside", "across the border", "far off", "halves"])
@pytest.mark.parametrize("size", [64, 256])
def test_equals_opencv_on_random_landmarks(kind, size, thickness):
    landmarks = _random_landmarks(kind, size, seed=thickness)
    _assert_equals_opencv(landmarks, size, line_thickness=thickness)


@pytest.mark.parametrize("thickness", [1, 2])
def test_equals_opencv_with_inner_lips_and_gaze(thickness):
    landmarks = _random_landmarks("face", 128, points=70)
    options = {"scheme": "ibug68_gaze", "inner_lips": True, "line_thickness": thickness}
    _assert_equals_opencv(landmarks, 128, **options)


def test_equals_opencv_on_every_direction():
    angles = np.arange(68) * 2 * np.pi / 68
    star = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * 20
    star[::2] = 0  # lines from the centre outwards
    for thickness in (1, 2, 3):
        _assert_equals_opencv([star + 32, star + 3, star * 2 + 60], 64, line_thickness=thickness)


def test_equals_opencv_on_faces():
    faces = [render(Identity.sample(k), pose, 256)[1] for k, pose in enumerate(pose_track((3, 0), 4))]
    for thickness in (1, 2, 3):
        _assert_equals_opencv(faces, 256, line_thickness=thickness)
        _assert_equals_opencv(np.array(faces) / 4, 64, line_thickness=thickness)


def test_long_lines_take_several_turns():
    landmarks = np.full((1, 68, 2), -500.0)
    landmarks[0, 17:22] = [(2, 1), (30, 250), (60, 3), (61, 254), (250, 120)]
    _assert_equals_opencv(landmarks, 256)


def test_batch_equals_singles():
    landmarks = np.concatenate(
        [_random_landmarks("face", 64, count=3), _random_landmarks("inside", 64, count=2)]
    ).astype(np.float32)
    together = rasterize(landmarks, 64).numpy()
    for one, image in zip(landmarks, together, strict=True):
        np.testing.assert_array_equal(rasterize(one[np.newaxis], 64).numpy()[0], image)


@pytest.mark.parametrize("thickness", [1, 2])
def test_xla_and_graph_equal_eager(thickness):
    landmarks = tf.constant(_random_landmarks("across the border", 64), tf.float32)
    signature = [tf.TensorSpec([None, 68, 2], tf.float32)]

    def draw(points):
        return rasterize(points, 64, line_thickness=thickness)

    eager = draw(landmarks).numpy()
    graph = tf.function(draw, input_signature=signature)
    compiled = tf.function(draw, jit_compile=True)
    np.testing.assert_array_equal(graph(landmarks).numpy(), eager)
    np.testing.assert_array_equal(compiled(landmarks).numpy(), eager)
    assert graph(landmarks[:0]).shape == (0, 64, 64, 3)


def test_only_the_colours_of_the_scheme_appear():
    image = rasterize(tf.constant(_random_landmarks("inside", 128), tf.float32), 128).numpy()
    seen = {tuple(colour) for colour in np.unique(image.reshape(-1, 3), axis=0).tolist()}
    assert seen == {(0, 0, 0)} | {part.colour for part in get_scheme("ibug68").parts}


def test_later_parts_lie_above_earlier_ones():
    landmarks = np.full((1, 68, 2), 20.0)  # every part is the same disc
    image = rasterize(tf.constant(landmarks, tf.float32), 40).numpy()[0]
    assert tuple(image[20, 20]) == (255, 255, 0)  # the lips come last
    assert {tuple(c) for c in image[image.any(-1)].tolist()} == {(255, 255, 0)}


def test_off_the_canvas_is_black():
    landmarks = tf.constant([[-40.0, 20.0]] * 68)[tf.newaxis]
    assert not rasterize(landmarks, 32).numpy().any()


def test_values_that_are_not_finite():
    landmarks = _random_landmarks("inside", 64)
    landmarks[0, 3] = np.nan
    landmarks[1, 40] = np.inf, 5
    landmarks[2] = 1e30
    landmarks[3, :20] = -1e9
    for thickness in (1, 2):
        _assert_equals_opencv(landmarks, 64, line_thickness=thickness)


@pytest.mark.parametrize("shape", [(68, 2), (1, 70, 2), (1, 68, 3)])
def test_wrong_shape_is_named(shape):
    with pytest.raises(ValueError, match=r"landmarks: got shape .* expected \[batch, 68, 2\]"):
        rasterize(tf.zeros(shape), 64)


def test_wrong_thickness_is_named():
    with pytest.raises(ValueError, match="line_thickness: got 9, expected 1 to 5"):
        rasterize(tf.zeros([1, 68, 2]), 64, line_thickness=9)


def test_the_graph_holds_no_python():
    graph = tf.function(lambda points: rasterize(points, 64)).get_concrete_function(
        tf.TensorSpec([None, 68, 2], tf.float32)
    )
    definition = graph.graph.as_graph_def()
    nodes = [definition.node, *(function.node_def for function in definition.library.function)]
    kinds = {node.op for some in nodes for node in some}
    assert {"StatelessWhile", "TensorScatterAdd"} <= kinds  # the loop's body was looked into
    assert not {kind for kind in kinds if "PyFunc" in kind or "Random" in kind}
