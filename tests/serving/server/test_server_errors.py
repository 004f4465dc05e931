"""Where the embedded server differs from TensorFlow Serving on purpose (`docs/differences.md`).

What both have in common is in `test_conformance.py`.
"""

import asyncio
import socket
import time

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import classification_pb2, get_model_status_pb2, model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving import model_server
from serving.server import predict_request
from serving.server.errors import ServingError
from serving.server.grpc_server import GrpcServer
from serving.server.metrics import Metrics
from serving.server.models import model_config
from serving.server.models.loader import Loader
from tests.commands import apart_flags
from tests.serving.api_requests import LANDMARKS, animate, landmarks_proto, refusal, request, status_request

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


def test_a_wrong_dtype_names_the_input_too(toy_server):
    message = animate(landmarks=LANDMARKS.astype(np.float64))
    code, text = refusal(toy_server.prediction.Predict, message)
    assert code == Code.INVALID_ARGUMENT
    assert text == "Expects arg[1] to be float but double is provided (input landmarks)"


def test_the_method_of_a_signature_is_always_checked(toy_server):
    code, text = refusal(toy_server.prediction.Predict, request(signature="__saved_model_init_op"))
    assert code == Code.INTERNAL
    assert text.startswith("Expected prediction signature method_name to be one of {")


def test_numbers_are_answered_as_tensor_content(toy_server):
    image = np.zeros((1, 64, 64, 3), np.uint8)
    message = request(signature="", landmark_images=image, adain_params=np.full((1, 6), 7, np.float32))
    frames = toy_server.prediction.Predict(message, timeout=60).outputs["frames"]
    assert frames.tensor_content == bytes([7]) * image.size and not frames.int_val


def test_dtypes_that_are_not_sent(toy_server):
    call = predict_request.Call("generator", 1, "serving_default", {}, ["spectrum"], ["spectrum:0"])
    with pytest.raises(ServingError, match="output spectrum can not be sent: .*complex64") as caught:
        call.answer([np.zeros(2, np.complex64)])
    assert caught.value.code == Code.UNIMPLEMENTED
    message = animate(landmarks=landmarks_proto(dtype=types_pb2.DT_COMPLEX64))
    assert refusal(toy_server.prediction.Predict, message)[0] == Code.INVALID_ARGUMENT


def test_it_listens_on_this_machine_alone(toy_server):
    host, port = toy_server.target.rsplit(":", 1)
    assert host == "127.0.0.1"
    socket.create_connection((host, int(port))).close()
    with pytest.raises(ConnectionRefusedError):  # another address of the same machine
        socket.create_connection(("127.0.0.2", int(port)))


def test_a_port_is_not_shared():
    """By gRPC's default a second server at the same port gets a part of the connections."""

    class Nothing:
        get_model_metadata = get_model_status = handle_reload_config_request = None

    async def listen(port):
        return GrpcServer(Nothing(), Nothing()).listen("127.0.0.1", port)

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ServingError, match="is the port in use"):
            asyncio.run(listen(taken.getsockname()[1]))


def test_clients_may_ping_often(toy_server):
    """gRPC's default ends a connection at the third ping within five minutes."""
    options = [("grpc.keepalive_time_ms", 2_100), ("grpc.http2.max_pings_without_data", 0)]
    with grpc.insecure_channel(toy_server.target, options) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        time.sleep(11)  # five pings
        assert watch.is_active()
        watch.cancel()


def test_models_lie_in_folders(toy_server):
    message = model_management_pb2.ReloadConfigRequest()
    message.config.model_config_list.config.add(name="a", base_path="gs://bucket/a", model_platform="tensorflow")
    code, text = refusal(toy_server.model.HandleReloadConfigRequest, message)
    assert code == Code.INVALID_ARGUMENT and "absolute path" in text and "gs://bucket/a" in text


def test_fields_of_a_configuration_that_do_nothing_here_are_refused(toy_server, toy_models):
    message = model_management_pb2.ReloadConfigRequest()
    model = message.config.model_config_list.config.add(
        name="a", base_path=str(toy_models / "generator"), model_platform="tensorflow"
    )
    model.logging_config.SetInParent()
    code, text = refusal(toy_server.model.HandleReloadConfigRequest, message)
    assert (code, text) == (Code.INVALID_ARGUMENT, "Model a: logging_config is not supported")
    model.ClearField("logging_config")
    message.metric_names.append("request_count")
    code, text = refusal(toy_server.model.HandleReloadConfigRequest, message)
    assert code == Code.UNIMPLEMENTED and text.startswith("metric_names: ")


def test_a_custom_configuration_is_refused():
    custom = model_server_config_pb2.ModelServerConfig()
    custom.custom_model_config.SetInParent()
    with pytest.raises(ServingError, match="custom_model_config is not supported") as caught:
        model_config.validate(custom, model_server_config_pb2.ModelServerConfig())
    assert caught.value.code == Code.FAILED_PRECONDITION


def test_the_memory_of_a_gpu_is_taken_as_needed(monkeypatch):
    made = []
    monkeypatch.setattr(model_server, "Loader", lambda session, *_: made.append(session) or Loader(session))
    with apart_flags() as flags:
        model_server.define_flags()
        flags.mark_as_parsed()
        model_server._store(Metrics(), None)
    assert made[0].gpu_options.allow_growth


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
