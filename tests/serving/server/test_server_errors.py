"""Where the embedded server differs from TensorFlow Serving on purpose (`deploy/README.md`).

What both have in common is in `test_conformance.py`.
"""

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import classification_pb2, get_model_status_pb2, model_management_pb2

from tests.serving.api_requests import LANDMARKS, animate, landmarks_proto, refusal, status_request

Code = grpc.StatusCode
State = get_model_status_pb2.ModelVersionStatus.State


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
        landmarks_proto(dims=[513, 68, 2], tensor_content=bytes(513 * 68 * 8)),
    ],
    ids=lambda proto: None,
)
def test_malformed_tensors(toy_server, proto):
    code, text = refusal(toy_server.prediction.Predict, animate(landmarks=proto))
    assert code == Code.INVALID_ARGUMENT
    assert "landmarks" in text


@pytest.mark.parametrize(
    ("landmarks", "text"),
    [
        (LANDMARKS[:, :67], "shape [2,67,2] for input landmarks, which has shape [?,68,2]"),
        (LANDMARKS[0], "shape [68,2] for input landmarks"),
    ],
)
def test_shapes_are_checked_before_the_graph_sees_them(toy_server, landmarks, text):
    got = refusal(toy_server.prediction.Predict, animate(landmarks=landmarks))
    assert got[0] == Code.INVALID_ARGUMENT
    assert got[1].startswith("Cannot feed value of " + text)


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


def test_other_methods_are_unimplemented(toy_server):
    code, _ = refusal(toy_server.prediction.Classify, classification_pb2.ClassificationRequest())
    assert code == Code.UNIMPLEMENTED


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
    assert (code, text) == (Code.INVALID_ARGUMENT, "Model a requests unsupported platform caffe")
    code, text = reload(("a", generator), model_platform="")
    assert code == Code.INVALID_ARGUMENT and "model_platform" in text
    code, text = reload(("a", "/nowhere/at/all"))
    assert code == Code.INVALID_ARGUMENT and "/nowhere/at/all" in text and "base_path" in text
    code, text = reload(("generator", generator), version_labels={"stable": 9})
    assert (code, text) == (
        Code.FAILED_PRECONDITION,
        "Request to assign label to version 9 of model generator, which is not currently available for inference",
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
