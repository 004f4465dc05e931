"""Invariant 8: the SavedModels equal the Keras models, in a process without this project."""

import dataclasses
import json
import pathlib
import re
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests import bounds
from tf_talking.config import LandmarkConfig, config_hash, get_preset
from tf_talking.landmarks.crop import crop_frame
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.layers.spectral_norm import power_iteration
from tf_talking.metrics import registry
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.fingerprints import fingerprint
from tf_talking.networks.generator import Generator, neutral_adain_params
from tf_talking.networks.images import landmark_images, to_float, to_uint8
from tf_talking.procedural import render as procedural
from tf_talking.procedural.samples import sample_landmarks
from tf_talking.served.graphs import MAX_FRAMES, MAX_ROWS, METADATA_FILE, save_embedder, save_generator
from tf_talking.served.warmup import read_signatures

CONFIG = get_preset("tiny")
SIZE = CONFIG.model.image_size

# Runs in another folder, isolated from PYTHONPATH: the graphs must not need this project.
LOADER = """
import sys, numpy as np, tensorflow as tf
assert not any(m.startswith("tf_talking") for m in sys.modules)
try:
    import tf_talking
    sys.exit("the project is importable here; the test proves nothing")
except ImportError:
    pass
folder, inputs, outputs = sys.argv[1:]
x = np.load(inputs)
def run(model, signature, names):
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], f"{folder}/{model}")
        s = meta.signature_def[signature]
        ops = {n.op for n in meta.graph_def.node} | {
            n.op for f in meta.graph_def.library.function for n in f.node_def}
        assert not ops & {"PyFunc", "EagerPyFunc", "PyFuncStateless"}, ops
        return session.run(
            {k: v.name for k, v in s.outputs.items()},
            {s.inputs[k].name: x[n] for k, n in names.items()})
e = run("embedder", "serving_default", {"frames": "frames", "landmarks": "landmarks"})
g = run("generator", "serving_default", {"landmark_images": "drawn", "adain_params": "psi"})
a = run("generator", "animate", {"landmarks": "targets", "adain_params": "psi"})
jpeg = np.stack([tf.io.decode_jpeg(j).numpy() for j in a["frames_jpeg"]])
np.savez(outputs, jpeg=jpeg, **e, **g)
"""


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(1)
    embedder, generator = Embedder(CONFIG.model), Generator(CONFIG.model)
    for network in (embedder, generator):
        for weight in network.trainable_weights:  # biases, gates and ψ off their start values
            weight.assign_add(0.05 * tf.random.stateless_normal(weight.shape, seed=[1, 2]))
        power_iteration(network, 3)
    return embedder, generator


@pytest.fixture(scope="module")
def loaded(networks, tmp_path_factory):
    """Inputs, and the outputs of the exported graphs computed in a separate process."""
    folder = tmp_path_factory.mktemp("served")
    save_embedder(folder / "embedder", CONFIG, *networks)
    save_generator(folder / "generator", CONFIG, networks[1])
    generator = np.random.default_rng(0)
    landmarks = generator.uniform(4, SIZE - 4, (5, 68, 2)).astype(np.float32)
    inputs = {
        "frames": generator.integers(0, 256, (2, 3, SIZE, SIZE, 3)).astype(np.uint8),
        "landmarks": generator.uniform(4, SIZE - 4, (2, 3, 68, 2)).astype(np.float32),
        "targets": landmarks,
        "drawn": to_uint8(landmark_images(CONFIG, tf.constant(landmarks))).numpy(),
        # Five people in one batch.
        "psi": networks[1].project(tf.random.stateless_uniform([5, CONFIG.model.embedding_size], seed=[3, 4])).numpy(),
    }
    np.savez(folder / "inputs.npz", **inputs)
    subprocess.run(
        [sys.executable, "-I", "-c", LOADER, str(folder), str(folder / "inputs.npz"), str(folder / "outputs.npz")],
        check=True,
        cwd=folder,
        timeout=300,
    )
    return folder, inputs, dict(np.load(folder / "outputs.npz"))


def documented_signatures(sizes: dict[str, int]) -> dict:
    """(model, signature) -> {name: (dtype, shape)} of inputs and outputs, from docs/serving.md."""
    page = (pathlib.Path(__file__).parents[3] / "docs" / "serving.md").read_text()
    table = page.split("## Signatures")[1].split("\n## ")[0]
    found = {}
    for model, signature, tensors in re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*) \|$", table, re.MULTILINE):
        found[model, signature] = {
            name: (dtype, [sizes[size] if size.isalpha() else int(size) for size in shape.split(",")])
            for name, dtype, shape in re.findall(r"`(\w+)` (\w+) \[([\w,]+)\]", tensors)
        }
    return found


def test_signatures_are_the_documented_ones(networks, loaded):
    print_ = fingerprint(networks[1])
    exported = {
        (model, key): {
            name.replace(print_, "FINGERPRINT"): (
                tf.dtypes.as_dtype(info.dtype).name,
                [dim.size for dim in info.tensor_shape.dim],
            )
            for tensors in (signature.inputs, signature.outputs)
            for name, info in tensors.items()
        }
        for model in ("embedder", "generator")
        for key, signature in read_signatures(loaded[0] / model).items()
    }
    sizes = {"B": -1, "K": -1, "S": SIZE, "P": 68, "N": CONFIG.model.embedding_size, "L": CONFIG.model.adain_size}
    assert exported == documented_signatures(sizes)


def test_generator_equals_keras_within_one_level(networks, loaded):
    _, inputs, outputs = loaded
    expected = to_uint8(networks[1](to_float(inputs["drawn"]), inputs["psi"])).numpy()
    assert outputs["frames"].dtype == np.uint8
    difference = np.abs(expected.astype(int) - outputs["frames"].astype(int))
    assert difference.max() <= 1
    assert expected.std() > 3  # not a constant picture


def test_embedder_equals_keras(networks, loaded):
    _, inputs, outputs = loaded
    embedder, generator = networks
    embedding = embedder.embed(to_float(inputs["frames"]), landmark_images(CONFIG, tf.constant(inputs["landmarks"])))
    bounds.assert_close(outputs["embedding"], embedding, fraction=bounds.NETWORK)
    adain_params = generator.project(embedding)
    bounds.assert_close(outputs["adain_params"], adain_params, fraction=bounds.NETWORK)


def test_animate_is_rasteriser_generator_and_jpeg(loaded):
    _, _, outputs = loaded
    expected = np.stack([tf.io.decode_jpeg(tf.io.encode_jpeg(f, quality=95)) for f in outputs["frames"]])
    np.testing.assert_array_equal(outputs["jpeg"], expected)


def test_metadata_names_detector_and_scheme(loaded):
    facts = json.loads((loaded[0] / "generator" / METADATA_FILE).read_text())
    assert facts["config_hash"] == config_hash(CONFIG)
    assert facts["landmarks"]["detector"] == "mediapipe"
    assert (facts["image_size"], facts["adain_size"]) == (SIZE, CONFIG.model.adain_size)


def test_both_models_tell_the_fingerprint_of_the_generator(networks, loaded):
    embedder, generator = networks
    expected = fingerprint(generator)
    for model, extra in (("embedder", {"embedder_fingerprint": fingerprint(embedder)}), ("generator", {})):
        facts = json.loads((loaded[0] / model / METADATA_FILE).read_text())
        assert {name: facts[name] for name in facts if "fingerprint" in name} == {"fingerprint": expected, **extra}
        signature = read_signatures(loaded[0] / model)["fingerprint"]
        assert list(signature.outputs) == [f"sha256_{expected}"]
        answer = tf.saved_model.load(str(loaded[0] / model)).signatures["fingerprint"](rows=tf.zeros([2], tf.int32))
        assert answer[f"sha256_{expected}"].numpy().tolist() == [expected.encode()] * 2


def test_weights_are_constants_and_stored_once(loaded):
    graph = (
        saved_model_pb2.SavedModel.FromString((loaded[0] / "generator/saved_model.pb").read_bytes())
        .meta_graphs[0]
        .graph_def
    )
    functions = [node for f in graph.library.function for node in f.node_def]
    constants = [n for n in [*graph.node, *functions] if n.op == "Const"]
    sizes = [len(n.attr["value"].tensor.tensor_content) for n in constants]
    names = {n.op for n in [*graph.node, *functions]}
    assert not names & {"VarHandleOp", "ReadVariableOp"}
    weights = Generator(CONFIG.model, with_projection=False).trainable_weights
    plain = 4 * sum(int(np.prod(w.shape)) for w in weights)
    # Merged kernels have 16 instead of 9 taps, Winograd's 12.
    assert plain < sum(sizes) < 1.8 * plain


def test_rows_that_do_not_belong_together_are_refused(loaded):
    model = tf.saved_model.load(str(loaded[0] / "generator"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="different numbers of rows"):
        model.signatures["animate"](
            landmarks=tf.constant(loaded[1]["targets"]), adain_params=tf.constant(loaded[1]["psi"][:4])
        )


def test_requests_for_too_many_rows_are_refused_before_they_are_computed(networks, loaded):
    generator = tf.saved_model.load(str(loaded[0] / "generator"))
    embedder = tf.saved_model.load(str(loaded[0] / "embedder"))
    rows = MAX_ROWS + 1
    psi = tf.zeros([rows, CONFIG.model.adain_size])
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"more than {MAX_ROWS} rows"):
        generator.signatures["animate"](landmarks=tf.zeros([rows, 68, 2]), adain_params=psi)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"more than {MAX_ROWS} rows"):
        images = tf.zeros([rows, SIZE, SIZE, 3], tf.uint8)
        generator.signatures["serving_default"](landmark_images=images, adain_params=psi)
    # Not one of these photos could be decoded: that they are too many is said first.
    for people, photos in ((1, MAX_FRAMES + 1), (MAX_FRAMES + 1, 1), (MAX_FRAMES // 2, 3), (1000, 0), (1, 0)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="B·K of at most"):
            embedder.signatures["embed_jpeg"](
                images=tf.fill([people, photos], b""), landmarks=tf.zeros([people, photos, 68, 2])
            )
    with pytest.raises(tf.errors.InvalidArgumentError, match="B·K of at most"):
        frames = tf.zeros([1, MAX_FRAMES + 1, SIZE, SIZE, 3], tf.uint8)
        embedder.signatures["serving_default"](frames=frames, landmarks=tf.zeros([1, MAX_FRAMES + 1, 68, 2]))


def test_embed_jpeg_crops_as_preprocessing_does(networks, loaded):
    photo, points = procedural.render_raw(procedural.Identity.sample(3), procedural.Pose(yaw=10), 200)
    png = cv2.imencode(".png", photo[..., ::-1])[1].tobytes()
    model = tf.saved_model.load(str(loaded[0] / "embedder"))
    answer = model.signatures["embed_jpeg"](
        images=tf.constant([[png, png]]),
        landmarks=tf.constant(np.stack([points, points])[np.newaxis].astype(np.float32)),
    )
    frame, moved = crop_frame(photo, points, SIZE)
    expected = model.signatures["serving_default"](
        frames=tf.constant(frame[np.newaxis, np.newaxis]), landmarks=tf.constant(moved[np.newaxis, np.newaxis])
    )
    np.testing.assert_allclose(
        answer["embedding"],
        expected["embedding"],
        rtol=0.02,
        atol=0.02 * float(tf.reduce_max(tf.abs(expected["embedding"]))),
    )
    assert float(tf.reduce_max(expected["embedding"])) > 0


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("dtype", [pytest.param("bfloat16", marks=pytest.mark.bfloat16), "float16"])
def test_reduced_precision_is_measured_and_recorded(networks, tmp_path, device, dtype):
    save_generator(tmp_path / "1", CONFIG, networks[1], device=device, dtype=dtype, batch_sizes=(1, 2))
    facts = json.loads((tmp_path / "1" / METADATA_FILE).read_text())
    assert (facts["dtype"], facts["device"]) == (dtype, device)
    least = bounds.least_psnr(dtype)  # 29 and 47 dB
    assert least < facts["psnr_to_float32"] < 80
    model = tf.saved_model.load(str(tmp_path / "1"))
    landmarks = sample_landmarks(CONFIG, 2)
    psi = np.repeat(neutral_adain_params(CONFIG.model)[np.newaxis], 2, axis=0)
    drawn = landmark_images(CONFIG, tf.constant(landmarks))
    answer = model.signatures["serving_default"](landmark_images=to_uint8(drawn), adain_params=tf.constant(psi))
    exact = to_uint8(networks[1](drawn, tf.constant(psi))).numpy()
    assert registry.compute("psnr", exact, answer["frames"].numpy()) > least


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "model, signature, poisoned",
    [
        ("generator", "animate", "landmarks"),
        ("generator", "animate", "adain_params"),
        ("generator", "serving_default", "adain_params"),
        ("embedder", "serving_default", "landmarks"),
        ("embedder", "embed_jpeg", "landmarks"),
    ],
)
def test_what_is_not_finite_is_refused_by_name(loaded, model, signature, poisoned, value):
    folder, inputs, _ = loaded
    jpeg = tf.io.encode_jpeg(inputs["frames"][0, 0]).numpy()
    given = {
        ("generator", "animate"): {"landmarks": inputs["targets"], "adain_params": inputs["psi"]},
        ("generator", "serving_default"): {"landmark_images": inputs["drawn"], "adain_params": inputs["psi"]},
        ("embedder", "serving_default"): {"frames": inputs["frames"], "landmarks": inputs["landmarks"]},
        ("embedder", "embed_jpeg"): {"images": np.array([[jpeg]]), "landmarks": inputs["landmarks"][:1, :1]},
    }[model, signature]
    given = {name: np.array(values) for name, values in given.items()}
    function = tf.saved_model.load(str(folder / model)).signatures[signature]
    function(**{name: tf.constant(values) for name, values in given.items()})
    given[poisoned].flat[-3] = value
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{poisoned}: a value is not finite"):
        function(**{name: tf.constant(values) for name, values in given.items()})


def test_the_graph_draws_gaze_inner_lips_and_lines_as_the_config_says(networks, tmp_path):
    """By OpenCV's picture of the same points, so that nothing above the rasteriser drops a part."""
    landmarks = LandmarkConfig(scheme="ibug68_gaze", line_thickness=1, inner_lips=True)
    config = dataclasses.replace(CONFIG, landmarks=landmarks)
    save_generator(tmp_path / "1", config, networks[1], jpeg_quality=100)
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    points = sample_landmarks(config, 2)
    psi = tf.constant(np.repeat(neutral_adain_params(CONFIG.model)[np.newaxis], 2, axis=0))
    jpegs = signatures["animate"](landmarks=tf.constant(points), adain_params=psi)["frames_jpeg"]
    animated = np.stack([tf.io.decode_jpeg(jpeg) for jpeg in jpegs]).astype(int)

    def error(drawing, points):
        """Between what `animate` drew and what the same generator draws from OpenCV's picture."""
        drawn = tf.constant(landmark_picture(drawing, points, SIZE))
        frames = signatures["serving_default"](landmark_images=drawn, adain_params=psi)["frames"]
        frames = [tf.io.decode_jpeg(tf.io.encode_jpeg(frame, quality=100)) for frame in frames]
        return np.abs(animated - np.stack(frames)).mean()

    assert error(landmarks, points) < 0.1
    assert error(dataclasses.replace(landmarks, inner_lips=False), points) > 1.0
    assert error(dataclasses.replace(landmarks, line_thickness=2), points) > 1.0
    assert error(dataclasses.replace(landmarks, scheme="ibug68"), points[:, :68]) > 1.0
