"""CSIM by hand and on faces; recognisers from files; the distance of deep features."""

import dataclasses
import sys
import types

import cv2
import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.transform
import torch

from tests.faces import painted, portrait
from tests.small_recogniser import save_plain_recogniser
from tf_talking.content.networks import build_content_networks
from tf_talking.landmarks.detectors import get_detector
from tf_talking.metrics import face_recognition, registry
from tf_talking.metrics.csim import cosines

SIDE = face_recognition.SIDE


@pytest.fixture(scope="module")
def landmarks():
    """Five points, spread over the 68 that they come from, of two slightly turned faces."""
    points = np.random.default_rng(0).uniform(20, 100, (68, 2))
    left, right, nose, mouth_left, mouth_right = face_recognition.TEMPLATE
    points[36:42], points[42:48] = left, right
    points[30], points[48], points[54] = nose, mouth_left, mouth_right
    turn = np.array([[0.8, -0.3], [0.3, 0.8]])
    return np.stack([points, points @ turn.T + (25, 3)]).astype(np.float32)


def test_the_template_is_arcfaces():
    """Recognisers are trained on faces that lie so; a pixel off is another face."""
    published = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
    np.testing.assert_allclose(face_recognition.TEMPLATE, published, atol=0.006)


def test_similarity_transform_equals_scikit_image():
    generator = np.random.default_rng(1)
    points = generator.uniform(0, 256, (5, 2))
    target = face_recognition.TEMPLATE
    expected = skimage.transform.SimilarityTransform.from_estimate(points, target)
    ours = face_recognition.similarity_transform(points, target)
    np.testing.assert_allclose(ours, expected.params[:2], atol=1e-9)


def test_aligned_face_lies_on_the_template(landmarks):
    frames = np.zeros((2, 160, 160, 3), np.uint8)
    for frame, points in zip(frames, face_recognition.five_points(landmarks), strict=True):
        for x, y in points:
            cv2.circle(frame, (round(x), round(y)), 1, (255, 255, 255), -1)
    faces = face_recognition.align_faces(frames, landmarks)
    for face in faces:
        for x, y in face_recognition.TEMPLATE.round().astype(int):
            assert face[y - 1 : y + 2, x - 1 : x + 2].max() > 120
    narrow = face_recognition.align_faces(frames, landmarks, 96)
    np.testing.assert_allclose(narrow.astype(int), faces[:, :, 8:104], atol=2)


def test_csim_by_hand(landmarks):
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    other = frames + np.uint8(1)
    table = {0: [[1.0, 0.0], [2.0, 0.0]], 1: [[3.0, 4.0], [-1.0, 0.0]]}
    values = registry.compute_frames("csim", frames, other, recogniser=lambda f, _: table[f.max()], landmarks=landmarks)
    np.testing.assert_allclose(values, [0.6, -1.0])


def test_recogniser_tells_people_apart():
    """A portrait in other light, turned and soft, against itself and against somebody painted."""
    face = portrait()
    turned = cv2.warpAffine(face, cv2.getRotationMatrix2D((128, 128), 12, 0.9), (256, 256))
    frames = np.stack([face, cv2.GaussianBlur((turned * 0.6).astype(np.uint8), (0, 0), 1), painted(1, 1)[0]])
    with get_detector("mediapipe", video=False) as detector:
        landmarks = np.stack([found.landmarks for found in detector.detect(frames)])
    rows = face_recognition.load_recogniser("sface")(frames, landmarks)
    same, other = cosines(rows[:1], rows[1:])
    assert same > 0.8 > 0.3 > other


@pytest.mark.parametrize("width", [112, 96])
def test_keras_recogniser_gets_aligned_rgb_of_its_width(tmp_path, landmarks, width):
    path = save_plain_recogniser(tmp_path / "plain.keras", width)
    frames = np.random.default_rng(2).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    ours = face_recognition.load_recogniser(path, batch_size=1)(frames, landmarks)
    faces = face_recognition.align_faces(frames, landmarks, width)
    expected = keras.models.load_model(path, compile=False)(faces.astype(np.float32))
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(ours[0] - ours[1]).max() > 1e-2


def test_keras_file_of_another_input_is_refused(tmp_path):
    path = save_plain_recogniser(tmp_path / "narrow.keras", width=64)
    with pytest.raises(ValueError, match=r"narrow.keras: got input \(None, 112, 64, 3\), expected .*112 or 96"):
        face_recognition.load_recogniser(path)


def tiny_onnx(path):
    """A network that looks like a recogniser: NCHW 112 x 112 → 8 numbers."""
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(8, 3, 16, 16)).astype(np.float32)
    value, make = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            make("Conv", ["input", "kernel"], ["c"], kernel_shape=[16, 16], strides=[16, 16]),
            make("Relu", ["c"], ["r"]),
            make("GlobalAveragePool", ["r"], ["g"]),
            make("Flatten", ["g"], ["output"]),
        ],
        "tiny",
        [value("input", onnx.TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [value("output", onnx.TensorProto.FLOAT, [1, 8])],
        [onnx.numpy_helper.from_array(kernel, "kernel")],
    )
    opset = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def test_onnx_recogniser_equals_onnx_runtime(tmp_path, landmarks):
    tiny_onnx(tmp_path / "tiny.onnx")
    frames = np.random.default_rng(2).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    ours = face_recognition.load_recogniser(tmp_path / "tiny.onnx")(frames, landmarks)
    faces = face_recognition.align_faces(frames, landmarks).transpose(0, 3, 1, 2)
    session = onnxruntime.InferenceSession(tmp_path / "tiny.onnx")
    for row, face in zip(ours, faces, strict=True):
        scaled = (face[np.newaxis].astype(np.float32) - 127.5) / 127.5  # RGB
        expected = session.run(None, {"input": scaled})[0][0]
        np.testing.assert_allclose(row, expected, rtol=1e-4, atol=1e-4)


def test_recogniser_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="face.onnx"):
        face_recognition.load_recogniser(tmp_path / "face.onnx")
    for suffix in (".onnx", ".keras"):
        (tmp_path / f"face{suffix}").write_bytes(b"no network")
        with pytest.raises(ValueError, match=f"face{suffix}: not a"):
            face_recognition.load_recogniser(tmp_path / f"face{suffix}")
    monkeypatch.setitem(sys.modules, "insightface", None)
    with pytest.raises(RuntimeError, match="'buffalo_l'.*not installed"):
        face_recognition.load_recogniser("buffalo_l")


def test_insightface_by_name_gets_aligned_bgr(monkeypatch, landmarks):
    """With a stand-in for the package, which is not a dependency."""

    @dataclasses.dataclass
    class Model:
        name: str

        def get_feat(self, faces):
            assert all(face.shape == (SIDE, SIDE, 3) for face in faces)
            return np.stack([face.mean(axis=(0, 1)) for face in faces])

    zoo = types.SimpleNamespace(get_model=lambda name, download: Model(name))
    monkeypatch.setitem(sys.modules, "insightface", types.SimpleNamespace(model_zoo=zoo))
    frames = np.zeros((2, 160, 160, 3), np.uint8)
    frames[..., 0] = 200  # red
    rows = face_recognition.load_recogniser("buffalo_l")(frames, landmarks)
    assert (rows[:, 2] > 100).all() and (rows[:, :2] == 0).all()


@pytest.fixture(scope="module")
def frames():
    real = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    fake = cv2.GaussianBlur(real[0], (0, 0), 1)
    return real, np.stack([real[0], fake, real[2] // 2])


def test_perceptual_equals_pytorch(frames):
    real, fake = frames
    network = build_content_networks("random", "none", image_size=32)["vgg19"]
    values = registry.compute_frames("perceptual", real, fake, network=network)
    a, b = (
        [torch.from_numpy(x.numpy()).permute(0, 3, 1, 2) for x in network(f / np.float32(127.5) - 1)] for f in frames
    )
    expected = sum(
        (torch.nn.functional.normalize(x) - torch.nn.functional.normalize(y)).square().sum(1).mean((1, 2))
        for x, y in zip(a, b, strict=True)
    )
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-6)
    assert values[0] == 0.0 and values[1] > 0 and values[2] > 0
