"""The serving API as its clients see it, against the embedded server and TensorFlow Serving.

Every test runs against the embedded server, plain and with batching, and against a real TensorFlow
Serving where `tensorflow_model_server` is on PATH or TF_SERVING_ADDRESS names one (see
`toy_models.py`). Codes and messages are those of TensorFlow Serving 2.15 (predict_util.cc,
server_core.cc, get_model_status_impl.cc, basic_manager.cc; TensorFlow's saved_model/util.cc and
direct_session). Where the embedded server differs on purpose: `test_server_errors.py`.
"""

import concurrent.futures
import os
import shutil
import socket
import subprocess
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving.api_requests import (
    ADAIN,
    LANDMARKS,
    animate,
    landmarks_proto,
    metadata_request,
    refusal,
    request,
    status_request,
)

Code = grpc.StatusCode
State = get_model_status_pb2.ModelVersionStatus.State
_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_PROGRAM = "tensorflow_model_server"


class TensorFlowServing:
    """Stubs of a real TensorFlow Serving with the toy models."""

    def __init__(self, target, rest=None):
        self.rest = rest
        channel = grpc.insecure_channel(target, options=_OPTIONS)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(channel)

    def wait(self, seconds):
        """Until all toy models are available."""
        end = time.monotonic() + seconds
        for model in ("generator", "embedder", "decoder"):
            while True:
                try:
                    (status,) = self.model.GetModelStatus(status_request(model), timeout=10).model_version_status
                    if status.state == State.AVAILABLE:
                        break
                except grpc.RpcError as error:
                    if time.monotonic() > end:
                        pytest.fail(f"toy model {model} (tests/serving/toy_models.py): {error}")
                time.sleep(0.2)


@pytest.fixture(scope="module")
def tensorflow_serving(toy_models):
    """The real server, or a skip that says what is missing."""
    address, program = os.environ.get("TF_SERVING_ADDRESS"), shutil.which(_PROGRAM)
    if address:
        server = TensorFlowServing(address)
        server.wait(seconds=10)
        yield server
        return
    if not program:
        pytest.skip(f"{_PROGRAM} is not on PATH and TF_SERVING_ADDRESS is not set")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([program, f"--port={port}", f"--model_config_file={toy_models / 'models.config'}"])
    try:
        server = TensorFlowServing(f"127.0.0.1:{port}")
        server.wait(seconds=60)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module", params=["toy_server", "batching_server", "tensorflow_serving"])
def api(request):
    """`prediction` and `model` stubs of each server in turn."""
    return request.getfixturevalue(request.param)


def test_predict_answers_with_model_version_and_signature(api):
    response = api.prediction.Predict(animate(), timeout=60)
    assert response.model_spec.name == "generator"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "animate"
    frames = tf.make_ndarray(response.outputs["frames_jpeg"])
    assert frames.shape == (2,)
    image = tf.io.decode_jpeg(frames[0]).numpy()
    assert image.shape == (64, 64, 3)
    assert image[5, 5].min() > 200 and image[40, 40].max() < 50


def test_default_signature_typed_fields_and_continued_values(api):
    message = request(signature="", adain_params=np.full((1, 6), 7, np.float32))
    image = message.inputs["landmark_images"]
    image.dtype = types_pb2.DT_UINT8
    for size in (1, 64, 64, 3):
        image.tensor_shape.dim.add(size=size)
    image.int_val.extend([1, 2, 3])  # TensorFlow continues the last value
    response = api.prediction.Predict(message, timeout=60)
    frames = tf.make_ndarray(response.outputs["frames"])
    assert response.model_spec.signature_name == "serving_default"
    assert frames.dtype == np.uint8 and frames.shape == (1, 64, 64, 3)
    assert frames.reshape(-1)[:5].tolist() == [8, 9, 10, 10, 10]


MISSING = (
    "input size does not match signature: 1!=2 len({adain_params}) != "
    "len({adain_params,landmarks}). Sent extra: {}. Missing but required: {landmarks}."
)
EXTRA = (
    "input size does not match signature: 3!=2 len({adain_params,landmarks,speed}) != "
    "len({adain_params,landmarks}). Sent extra: {speed}. Missing but required: {}."
)
RENAMED = (
    "Signature input alias: landmarks(feed name: animate_landmarks:0) not found in request and no "
    "default value provided. Inputs expected to be in the request {adain_params,points}, "
    "or default input alias set: "
)


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (predict_pb2.PredictRequest(), Code.INVALID_ARGUMENT, "Missing ModelSpec"),
        (animate(model=""), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (animate(model="nobody"), Code.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
        (animate(version=7), Code.NOT_FOUND, "Servable not found for request: Specific(generator, 7)"),
        (animate(label="stable"), Code.INVALID_ARGUMENT, "Unrecognized servable version label: stable"),
        (animate(signature="sing"), Code.FAILED_PRECONDITION, 'Serving signature key "sing" not found.'),
        (request(adain_params=ADAIN), Code.INVALID_ARGUMENT, MISSING),
        (animate(speed=1.0), Code.INVALID_ARGUMENT, EXTRA),
        (request(adain_params=ADAIN, points=LANDMARKS), Code.INVALID_ARGUMENT, RENAMED),
        (
            animate(landmarks=LANDMARKS.astype(np.float64)),
            Code.INVALID_ARGUMENT,
            "Expects arg[1] to be float but double is provided",
        ),
        (animate(adain_params=["a", "b"]), Code.INVALID_ARGUMENT, "Expects arg[0] to be float but string is provided"),
        (animate(adain_params=ADAIN[:1].repeat(3, 0)), Code.INVALID_ARGUMENT, ""),
        (
            animate(outputs=["sound"]),
            Code.INVALID_ARGUMENT,
            "output tensor alias not found in signature: sound Outputs expected to be in the set {frames_jpeg}.",
        ),
        (
            animate(outputs=["frames_jpeg", "frames_jpeg"]),
            Code.INVALID_ARGUMENT,
            "duplicate output tensor alias: frames_jpeg",
        ),
    ],
)
def test_refused_requests(api, message, code, text):
    got = refusal(api.prediction.Predict, message)
    assert got[0] == code
    assert got[1].startswith(text)


@pytest.mark.parametrize(
    "proto",
    [
        tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT),
        landmarks_proto(tensor_content=b"\x00" * 17),
        landmarks_proto(dims=[3, 68, 2]),
        landmarks_proto(dims=[-1, 68, 2]),
        landmarks_proto(unknown_rank=True),
        landmarks_proto(dims=[2**62, 68, 2]),
    ],
    ids=lambda proto: None,
)
def test_malformed_tensors(api, proto):
    code, _ = refusal(api.prediction.Predict, animate(landmarks=proto))
    assert code == Code.INVALID_ARGUMENT


def test_rows_of_many_clients_stay_apart(api):
    def frame(level):
        rows = level % 3 + 1
        adain = np.full((rows, 6), level, np.float32)
        message = animate(landmarks=LANDMARKS[:1].repeat(rows, 0), adain_params=adain)
        response = api.prediction.Predict(message, timeout=60)
        frames = tf.make_ndarray(response.outputs["frames_jpeg"])
        return [tf.io.decode_jpeg(data).numpy()[40, 40].tolist() for data in frames]

    levels = range(0, 240, 5)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(frame, levels))
    for level, rows in zip(levels, answers, strict=True):
        assert len(rows) == level % 3 + 1
        assert np.abs(np.array(rows) - level).max() <= 2


def test_refused_configurations(api):
    def reload(*models, **fields):
        message = model_management_pb2.ReloadConfigRequest()
        for name, folder in models:
            message.config.model_config_list.config.add(
                name=name, base_path=folder, **{"model_platform": "tensorflow"} | fields
            )
        return refusal(api.model.HandleReloadConfigRequest, message)

    code, text = reload()
    assert code == Code.INVALID_ARGUMENT and "Only ModelConfigList" in text
    assert reload(("a", "/"), ("a", "/")) == (
        Code.INVALID_ARGUMENT,
        "Illegal to list model a multiple times in config list",
    )
    code, text = reload(("a", "relative/path"))
    assert code == Code.INVALID_ARGUMENT and "absolute path" in text
    status = api.model.GetModelStatus(status_request("generator"), timeout=60)
    assert status.model_version_status[0].state == State.AVAILABLE


def test_garbage_as_jpeg_leaves_the_server_alive(api):
    garbage = np.random.default_rng(0).bytes(8 * 2**20)
    jpeg_start = b"\xff\xd8\xff\xe0" + garbage
    good = tf.io.encode_jpeg(np.full((8, 8, 3), 100, np.uint8)).numpy()
    truncated = good[: len(good) // 2]
    for data in (garbage, jpeg_start, b"", truncated):
        message = request("decoder", "", image_bytes=tf.make_tensor_proto([good, data]))
        code, text = refusal(api.prediction.Predict, message)
        assert code == Code.INVALID_ARGUMENT
        assert len(text) < 1100 and not text.startswith("Graph execution error")
    response = api.prediction.Predict(request("decoder", "", image_bytes=tf.make_tensor_proto([good])), timeout=60)
    assert abs(tf.make_ndarray(response.outputs["mean"])[0] - 100) < 2


def test_output_filter_fetches_only_what_it_names(api):
    message = request(
        "embedder",
        "",
        outputs=["embedding"],
        frames=np.full((1, 3, 64, 64, 3), 9, np.uint8),
        landmarks=np.zeros((1, 3, 68, 2), np.float32),
    )
    response = api.prediction.Predict(message, timeout=60)
    assert list(response.outputs) == ["embedding"]
    assert tf.make_ndarray(response.outputs["embedding"]).tolist() == [[9, 9, 9, 0]]


def test_large_messages_pass(api):
    message = request(
        "embedder",
        "",
        frames=np.zeros((1, 500, 64, 64, 3), np.uint8),  # 6.1 MB
        landmarks=np.zeros((1, 500, 68, 2), np.float32),
    )
    assert api.prediction.Predict(message, timeout=60).outputs


def test_metadata(api):
    response = api.prediction.GetModelMetadata(metadata_request(), timeout=60)
    assert response.model_spec.name == "generator"
    assert response.model_spec.version.value == 1
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    animate_inputs = signatures.signature_def["animate"].inputs
    assert sorted(animate_inputs) == ["adain_params", "landmarks"]
    assert [dim.size for dim in animate_inputs["landmarks"].tensor_shape.dim] == [-1, 68, 2]
    assert animate_inputs["landmarks"].dtype == types_pb2.DT_FLOAT


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (get_model_metadata_pb2.GetModelMetadataRequest(), Code.INVALID_ARGUMENT, "Missing ModelSpec"),
        (
            metadata_request(fields=()),
            Code.INVALID_ARGUMENT,
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (metadata_request(fields=("weights",)), Code.INVALID_ARGUMENT, "Metadata field weights is not supported"),
        (metadata_request(model="nobody"), Code.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
    ],
)
def test_refused_metadata(api, message, code, text):
    assert refusal(api.prediction.GetModelMetadata, message) == (code, text)


def test_status(api):
    for version in (None, 1):
        response = api.model.GetModelStatus(status_request(version=version), timeout=60)
        (status,) = response.model_version_status
        assert (status.version, status.state) == (1, State.AVAILABLE)
        assert (status.status.error_code, status.status.error_message) == (0, "")


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (get_model_status_pb2.GetModelStatusRequest(), Code.INVALID_ARGUMENT, "Missing ModelSpec"),
        (status_request("nobody"), Code.NOT_FOUND, "Could not find any versions of model nobody"),
        (status_request(version=7), Code.NOT_FOUND, "Could not find version 7 of model generator"),
    ],
)
def test_refused_status(api, message, code, text):
    assert refusal(api.model.GetModelStatus, message) == (code, text)
