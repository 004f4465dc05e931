"""What a raw grpcio stub, written against tensorflow-serving-api alone, gets from the server.

Codes and messages are those of TensorFlow Serving 2.15 (predict_util.cc, server_core.cc,
get_model_status_impl.cc, basic_manager.cc; TensorFlow's saved_model/util.cc and direct_session).
"""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

Code = grpc.StatusCode
State = get_model_status_pb2.ModelVersionStatus.State
LANDMARKS = np.full((2, 68, 2), 5, np.float32)
ADAIN = np.zeros((2, 6), np.float32)


def request(model="generator", signature="animate", outputs=(), version=None, label=None, **inputs):
    message = predict_pb2.PredictRequest()
    message.model_spec.name = model
    message.model_spec.signature_name = signature
    if version is not None:
        message.model_spec.version.value = version
    if label is not None:
        message.model_spec.version_label = label
    message.output_filter.extend(outputs)
    for name, value in inputs.items():
        if not isinstance(value, tensor_pb2.TensorProto):
            value = tf.make_tensor_proto(value)
        message.inputs[name].CopyFrom(value)
    return message


def animate(**changes):
    return request(**{"landmarks": LANDMARKS, "adain_params": ADAIN} | changes)


def refusal(call, message) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=60)
    return caught.value.code(), caught.value.details()


def test_predict_answers_with_model_version_and_signature(toy_server):
    response = toy_server.prediction.Predict(animate(), timeout=60)
    assert response.model_spec.name == "generator"
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "animate"
    frames = tf.make_ndarray(response.outputs["frames_jpeg"])
    assert frames.shape == (2,)
    image = tf.io.decode_jpeg(frames[0]).numpy()
    assert image.shape == (64, 64, 3)
    assert image[5, 5].min() > 200 and image[40, 40].max() < 50


def test_default_signature_typed_fields_and_continued_values(toy_server):
    message = request(signature="", adain_params=np.full((1, 6), 7, np.float32))
    image = message.inputs["landmark_images"]
    image.dtype = types_pb2.DT_UINT8
    for size in (1, 64, 64, 3):
        image.tensor_shape.dim.add(size=size)
    image.int_val.extend([1, 2, 3])  # TensorFlow continues the last value
    response = toy_server.prediction.Predict(message, timeout=60)
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
        (
            animate(model="nobody"),
            Code.NOT_FOUND,
            "Servable not found for request: Latest(nobody)",
        ),
        (
            animate(version=7),
            Code.NOT_FOUND,
            "Servable not found for request: Specific(generator, 7)",
        ),
        (
            animate(label="stable"),
            Code.INVALID_ARGUMENT,
            "Unrecognized servable version label: stable",
        ),
        (
            animate(signature="sing"),
            Code.FAILED_PRECONDITION,
            'Serving signature key "sing" not found.',
        ),
        (
            request(signature="__saved_model_init_op"),
            Code.INTERNAL,
            "Expected prediction signature method_name to be one of {",
        ),
        (request(adain_params=ADAIN), Code.INVALID_ARGUMENT, MISSING),
        (animate(speed=1.0), Code.INVALID_ARGUMENT, EXTRA),
        (
            request(adain_params=ADAIN, points=LANDMARKS),
            Code.INVALID_ARGUMENT,
            RENAMED,
        ),
        (
            animate(landmarks=LANDMARKS.astype(np.float64)),
            Code.INVALID_ARGUMENT,
            "Expects arg[1] to be float but double is provided",
        ),
        (
            animate(adain_params=["a", "b"]),
            Code.INVALID_ARGUMENT,
            "Expects arg[0] to be float but string is provided",
        ),
        (
            animate(landmarks=LANDMARKS[:, :67]),
            Code.INVALID_ARGUMENT,
            "Cannot feed value of shape [2,67,2] for input landmarks, which has shape [?,68,2]",
        ),
        (
            animate(landmarks=LANDMARKS[0]),
            Code.INVALID_ARGUMENT,
            "Cannot feed value of shape [68,2] for input landmarks",
        ),
        (animate(adain_params=ADAIN[:1].repeat(3, 0)), Code.INVALID_ARGUMENT, ""),
        (
            animate(outputs=["sound"]),
            Code.INVALID_ARGUMENT,
            "output tensor alias not found in signature: sound Outputs expected to be in the set "
            "{frames_jpeg}.",
        ),
        (
            animate(outputs=["frames_jpeg", "frames_jpeg"]),
            Code.INVALID_ARGUMENT,
            "duplicate output tensor alias: frames_jpeg",
        ),
    ],
)
def test_refused_requests(toy_server, message, code, text):
    got = refusal(toy_server.prediction.Predict, message)
    assert got[0] == code
    assert got[1].startswith(text)


def landmarks_proto(**changes) -> tensor_pb2.TensorProto:
    proto = tf.make_tensor_proto(LANDMARKS)
    for name, value in changes.items():
        if name == "dims":
            proto.tensor_shape.ClearField("dim")
            for size in value:
                proto.tensor_shape.dim.add(size=size)
        elif name == "float_val":
            proto.ClearField("tensor_content")
            proto.float_val.extend(value)
        elif name == "unknown_rank":
            proto.tensor_shape.Clear()
            proto.tensor_shape.unknown_rank = value
        else:
            setattr(proto, name, value)
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        tensor_pb2.TensorProto(),
        landmarks_proto(dtype=types_pb2.DT_INVALID),
        landmarks_proto(dtype=999),
        landmarks_proto(tensor_content=b"\x00" * 17),
        landmarks_proto(dims=[3, 68, 2]),
        landmarks_proto(dims=[-1, 68, 2]),
        landmarks_proto(unknown_rank=True),
        landmarks_proto(dims=[2**62, 68, 2]),
        landmarks_proto(dims=[2**40, 68, 2], float_val=[1.0]),
        landmarks_proto(float_val=[1.0] * 273),
    ],
    ids=lambda proto: None,
)
def test_malformed_tensors(toy_server, proto):
    code, text = refusal(toy_server.prediction.Predict, animate(landmarks=proto))
    assert code == Code.INVALID_ARGUMENT
    assert "landmarks" in text


def test_bytes_that_are_no_request(toy_server):
    call = toy_server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    for data in (b"\xff" * 1000, animate().SerializeToString()[:-7]):
        code, text = refusal(call, data)
        assert code == Code.INVALID_ARGUMENT
        assert "no tensorflow.serving.PredictRequest" in text


def test_damaged_requests_are_answered(toy_server):
    random = np.random.default_rng(1)
    whole = animate().SerializeToString()
    call = toy_server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    allowed = {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION}
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        places = random.integers(0, 100, 4)  # names, dtypes and shapes stand at the start
        for place in places:
            data[place] = random.integers(256)
        try:
            call(bytes(data), timeout=60)
        except grpc.RpcError as error:
            assert error.code() in allowed, error
            refused += 1
    assert refused > 100
    assert toy_server.process.poll() is None


def test_garbage_as_jpeg_leaves_the_server_alive(toy_server):
    garbage = np.random.default_rng(0).bytes(8 * 2**20)
    jpeg_start = b"\xff\xd8\xff\xe0" + garbage
    good = tf.io.encode_jpeg(np.full((8, 8, 3), 100, np.uint8)).numpy()
    truncated = good[: len(good) // 2]
    for data in (garbage, jpeg_start, b"", truncated):
        message = request("decoder", "", image_bytes=tf.make_tensor_proto([good, data]))
        code, text = refusal(toy_server.prediction.Predict, message)
        assert code == Code.INVALID_ARGUMENT
        assert len(text) < 1100 and not text.startswith("Graph execution error")
    response = toy_server.prediction.Predict(
        request("decoder", "", image_bytes=tf.make_tensor_proto([good])), timeout=60
    )
    assert abs(tf.make_ndarray(response.outputs["mean"])[0] - 100) < 2
    assert toy_server.process.poll() is None


def test_output_filter_fetches_only_what_it_names(toy_server):
    message = request(
        "embedder",
        "",
        outputs=["embedding"],
        frames=np.full((1, 3, 64, 64, 3), 9, np.uint8),
        landmarks=np.zeros((1, 3, 68, 2), np.float32),
    )
    response = toy_server.prediction.Predict(message, timeout=60)
    assert list(response.outputs) == ["embedding"]
    assert tf.make_ndarray(response.outputs["embedding"]).tolist() == [[9, 9, 9, 0]]


def test_large_messages_pass(toy_server):
    message = request(
        "embedder",
        "",
        frames=np.zeros((1, 800, 64, 64, 3), np.uint8),  # 9.8 MB
        landmarks=np.zeros((1, 800, 68, 2), np.float32),
    )
    assert toy_server.prediction.Predict(message, timeout=60).outputs


def test_other_methods_are_unimplemented(toy_server):
    code, _ = refusal(
        toy_server.prediction.Classify, classification_pb2.ClassificationRequest()
    )
    assert code == Code.UNIMPLEMENTED


def metadata_request(model="generator", fields=("signature_def",)):
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    message.model_spec.name = model
    return message


def test_metadata(toy_server):
    response = toy_server.prediction.GetModelMetadata(metadata_request(), timeout=60)
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
        (
            get_model_metadata_pb2.GetModelMetadataRequest(),
            Code.INVALID_ARGUMENT,
            "Missing ModelSpec",
        ),
        (
            metadata_request(fields=()),
            Code.INVALID_ARGUMENT,
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (
            metadata_request(fields=("weights",)),
            Code.INVALID_ARGUMENT,
            "Metadata field weights is not supported",
        ),
        (
            metadata_request(model="nobody"),
            Code.NOT_FOUND,
            "Servable not found for request: Latest(nobody)",
        ),
    ],
)
def test_refused_metadata(toy_server, message, code, text):
    assert refusal(toy_server.prediction.GetModelMetadata, message) == (code, text)


def status_request(model="generator", version=None):
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = model
    if version is not None:
        message.model_spec.version.value = version
    return message


def test_status(toy_server):
    for version in (None, 1):
        response = toy_server.model.GetModelStatus(status_request(version=version), timeout=60)
        (status,) = response.model_version_status
        assert (status.version, status.state) == (1, State.AVAILABLE)
        assert (status.status.error_code, status.status.error_message) == (0, "")


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (get_model_status_pb2.GetModelStatusRequest(), Code.INVALID_ARGUMENT, "Missing ModelSpec"),
        (status_request("nobody"), Code.NOT_FOUND, "Could not find any versions of model nobody"),
        (
            status_request(version=7),
            Code.NOT_FOUND,
            "Could not find version 7 of model generator",
        ),
    ],
)
def test_refused_status(toy_server, message, code, text):
    assert refusal(toy_server.model.GetModelStatus, message) == (code, text)


def test_refused_configurations_change_nothing(toy_server, toy_models):
    def reload(*models, **fields):
        message = model_management_pb2.ReloadConfigRequest()
        for name, folder in models:
            message.config.model_config_list.config.add(
                name=name, base_path=folder, **{"model_platform": "tensorflow"} | fields
            )
        return refusal(toy_server.model.HandleReloadConfigRequest, message)

    generator = str(toy_models / "generator")
    code, text = reload()
    assert code == Code.INVALID_ARGUMENT and "Only ModelConfigList" in text
    assert reload(("a", generator), ("a", generator)) == (
        Code.INVALID_ARGUMENT,
        "Illegal to list model a multiple times in config list",
    )
    code, text = reload(("a", "relative/path"))
    assert code == Code.INVALID_ARGUMENT and "absolute path" in text
    code, text = reload(("a", generator), model_platform="caffe")
    assert (code, text) == (
        Code.INVALID_ARGUMENT,
        "Model a requests unsupported platform caffe",
    )
    code, text = reload(("a", generator), model_platform="")
    assert code == Code.INVALID_ARGUMENT and "model_platform" in text
    code, text = reload(("a", "/nowhere/at/all"))
    assert code == Code.INVALID_ARGUMENT and "/nowhere/at/all" in text and "base_path" in text
    code, text = reload(("generator", generator), version_labels={"stable": 9})
    assert (code, text) == (
        Code.FAILED_PRECONDITION,
        "Request to assign label to version 9 of model generator, "
        "which is not currently available for inference",
    )
    for model in ("generator", "embedder", "decoder"):
        status = toy_server.model.GetModelStatus(status_request(model), timeout=60)
        assert status.model_version_status[0].state == State.AVAILABLE


def test_health(toy_server):
    stub = health_pb2_grpc.HealthStub(toy_server.channel)
    for service in ("", "tensorflow.serving.PredictionService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=60)
    assert caught.value.code() == Code.NOT_FOUND
