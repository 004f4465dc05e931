"""The MobileFaceNet face term: region, features, and that the real one tells people apart."""

import csv

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.small_recogniser import SIZE as EMBEDDING_SIZE
from tests.small_recogniser import save_mobilefacenet
from tf_talking.config import get_preset
from tf_talking.config.overrides import replace_losses
from tf_talking.content import face_features
from tf_talking.content.arcface import TEMPLATE
from tf_talking.content.networks import build_content_networks, content_networks_of
from tf_talking.landmarks.crop import crop_frame
from tf_talking.landmarks.detectors import get_detector
from tf_talking.losses import content_loss
from tf_talking.media.video_reader import read_frames
from tf_talking.metrics.face_recognition import align_faces, five_points
from tf_talking.procedural.render import Identity, Pose, render

_SIZE = 128
_PEOPLE = 5


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory):
    return save_mobilefacenet(tmp_path_factory.mktemp("weights") / "small.keras")


@pytest.fixture(scope="module")
def network(recogniser):
    return build_content_networks(None, "mobilefacenet", str(recogniser), image_size=_SIZE)["face"]


@pytest.fixture(scope="module")
def faces():
    """Painted people: float32 [2, S, S, 3] in [-1, 1], landmarks float32 [2, 68, 2]."""
    painted = [render(Identity.sample(person), Pose(yaw=10), _SIZE) for person in (1, 2)]
    frames, landmarks = (np.stack(parts) for parts in zip(*painted, strict=True))
    return frames.astype(np.float32) / 127.5 - 1.0, landmarks


@pytest.fixture(scope="module")
def people(shared_file):
    """Two frames, a second apart, of clips of different people, cropped as the records are.

    float32 [people, 2, S, S, 3] in [-1, 1].
    """
    clips = {}
    with open(shared_file("data/manifest.csv")) as file:
        for row in csv.DictReader(file):
            if row["kind"] == "clip":
                clips.setdefault(row["identity"], row["file"])
    pairs = []
    with get_detector("mediapipe", video=False) as detector:
        for clip in list(clips.values())[::20]:
            frames = read_frames(shared_file(f"data/{clip}"))
            chosen = [frame for index, frame in zip(range(26), frames, strict=False)][::25]
            found = [detection.landmarks for detection in detector.detect(chosen)]
            if len(found) == 2 and all(points is not None for points in found):
                pairs.append([crop_frame(*pair, _SIZE)[0] for pair in zip(chosen, found, strict=True)])
            if len(pairs) == _PEOPLE:
                break
    assert len(pairs) == _PEOPLE
    return np.array(pairs, np.float32) / 127.5 - 1.0


def test_resampling_matrix_by_hand():
    same = face_features.resampling_matrix(5, 1, 3, 3)
    np.testing.assert_allclose(same, np.eye(5)[1:4])
    halved = face_features.resampling_matrix(4, 0, 4, 2)
    np.testing.assert_allclose(halved, [[3 / 7, 3 / 7, 1 / 7, 0], [0, 1 / 7, 3 / 7, 3 / 7]])


@pytest.mark.parametrize("outputs", [20, 64, 150])
def test_resampling_keeps_constants_and_slopes(outputs):
    matrix = face_features.resampling_matrix(100, 25.0, 50.0, outputs)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-6)
    centres = 25.0 + (np.arange(outputs) + 0.5) * 50.0 / outputs
    np.testing.assert_allclose(matrix @ (np.arange(100) + 0.5), centres, atol=0.05)


def test_region_is_where_opencv_cuts_it():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.uniform(-1, 1, (64, 64, 3)).astype(np.float32), (0, 0), 3)
    face = face_features.FaceRegion(64)(image[np.newaxis])
    assert face.shape == (1, 112, 96, 3)
    x, y, width, height = (64 * part for part in face_features.FACE_REGION)
    # Pixel centres: output u lies at x + (u + 0.5) * width / 96 - 0.5 of the input.
    matrix = np.array([[width / 96, 0, x - 0.5 + width / 192], [0, height / 112, y - 0.5 + height / 224]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = (cv2.warpAffine(image, matrix, (96, 112), flags=flags) + 1) * 127.5
    assert np.abs(face[0] - expected).max() < 0.5  # OpenCV interpolates in steps of 1/32 pixel


def test_faces_that_look_ahead_lie_in_the_region_as_the_template_wants():
    landmarks = np.stack([render(Identity.sample(person), Pose(), _SIZE)[1] for person in range(8)])
    x, y, width, height = (_SIZE * part for part in face_features.FACE_REGION)
    places = (five_points(landmarks) + 0.5 - (x, y)) / (width, height) * (96, 112) - 0.5
    assert np.abs(places.mean(axis=0) - (TEMPLATE - (8, 0))).max() < 6  # pixels of 96 x 112


def test_the_real_network_tells_people_apart_in_the_region(shared_file, people):
    """A person's two frames differ less than that person from the others, pose included; cosine
    within a clip above that between people (0.8 and 0.02 over all the clips)."""
    body = face_features.AlignedFaces(shared_file("weights/mobilefacenet_casia.keras")).body
    region = face_features.FaceRegion(_SIZE)
    *features, embeddings = body(region(people.reshape(-1, _SIZE, _SIZE, 3)), training=False)
    ours, theirs = ([feature[i::2] for feature in features] for i in (0, 1))  # first and second frames
    distance = np.array(
        [
            [content_loss([x[i] for x in ours], [x[j] for x in theirs]).numpy() for j in range(_PEOPLE)]
            for i in range(_PEOPLE)
        ]
    )
    same = np.diag(distance)
    others = (distance.sum(axis=1) - same) / (_PEOPLE - 1)
    assert (same < others).all()
    assert same.mean() < 0.75 * others.mean()
    embeddings = tf.math.l2_normalize(embeddings, axis=-1)
    cosine = (embeddings @ tf.transpose(embeddings)).numpy().reshape(_PEOPLE, 2, _PEOPLE, 2)
    same = np.array([cosine[i, 0, i, 1] for i in range(_PEOPLE)])
    others = np.array([cosine[i, :, j, :] for i in range(_PEOPLE) for j in range(_PEOPLE) if i != j])
    assert same.min() > others.max()
    assert same.mean() > 0.6 and others.mean() < 0.2


def test_features_are_the_files_own_at_the_caffe_networks_scale(network, recogniser, faces):
    frames = faces[0]
    features = network(frames)
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (56, 48, 8),
        (28, 24, 8),
        (14, 12, 12),
        (7, 6, 12),
        (7, 6, 24),
    ]
    whole = keras.models.load_model(recogniser, compile=False)
    named = keras.Model(whole.input, [whole.get_layer(name).output for name in face_features.FEATURE_LAYERS])
    for ours, expected in zip(features, named(face_features.FaceRegion(_SIZE)(frames)), strict=True):
        np.testing.assert_allclose(ours, 100 * expected.numpy(), rtol=1e-3, atol=1e-2)
    assert str(recogniser) in network.weights_source and "sha256:" in network.weights_source


def test_identity_compares_faces_that_their_landmarks_align(recogniser, faces):
    frames, landmarks = faces
    config = replace_losses(get_preset("tiny"), face_features="mobilefacenet", content_face=0.1, content_identity=1.0)
    networks = content_networks_of(config, "none", str(recogniser))
    assert set(networks) == {"identity"}  # one network for both terms
    *features, embedding = networks["identity"](tf.constant(frames), tf.constant(landmarks))
    assert [feature.shape[-1] for feature in features] == [8, 8, 12, 12, 24]
    aligned = align_faces(((frames + 1.0) * 127.5).round().astype(np.uint8), landmarks, 96)
    expected = keras.models.load_model(recogniser, compile=False)(aligned.astype(np.float32)).numpy()
    assert embedding.shape == (2, EMBEDDING_SIZE)
    np.testing.assert_allclose(embedding, expected, atol=0.05 * np.abs(expected).max())
    assert np.abs(expected[0] - expected[1]).max() > 0.2 * np.abs(expected).max()


def test_gradient_reaches_the_face_and_no_weight(network, faces):
    image = tf.constant(faces[0][:1])
    real = network(faces[0][1:])

    def gradient_of(image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = content_loss(real, network(image))
        return tape.gradient(loss, image)

    eager = gradient_of(image).numpy()
    compiled = tf.function(gradient_of, jit_compile=True)(image).numpy()
    assert np.isfinite(eager).all()
    assert (np.abs(eager[0, 30:90, 40:90]).sum(-1) > 0).all()  # every pixel of the face takes part
    assert not eager[0, :10].any()  # nothing above it
    np.testing.assert_allclose(compiled, eager, atol=1e-3 * np.abs(eager).max())
    assert network.model.trainable_variables == []


def test_inference_mode_even_in_training(network, faces):
    frames = faces[0]
    alone = network(frames[:1])[-1]
    together = network(frames)[-1]
    np.testing.assert_allclose(together[:1], alone, rtol=1e-3, atol=1e-2)
    trained = network.model(frames[:1], training=True)[-1]
    np.testing.assert_allclose(trained, alone, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("weights", [None, "auto", "random"])
def test_needs_a_path(weights):
    with pytest.raises(ValueError, match="face_weights: got .*expected the path of a .keras file"):
        build_content_networks(None, "mobilefacenet", weights)


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="face_weights: no file at .*nowhere.keras"):
        build_content_networks(None, "mobilefacenet", str(tmp_path / "nowhere.keras"))
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"no model")
    with pytest.raises(ValueError, match="broken.keras: not a readable .keras model"):
        build_content_networks(None, "mobilefacenet", str(broken))
    other = tmp_path / "other.keras"
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]).save(other)
    with pytest.raises(ValueError, match=r"other.keras: got input \(None, 8, 8, 3\), expected"):
        build_content_networks(None, "mobilefacenet", str(other))
