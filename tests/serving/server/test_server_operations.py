"""The server in production: TLS, metrics, overload, clients that go away, drain.

One server for most of it: TLS with client certificates, one batch of two rows at a time, room for
ten requests.
"""

import asyncio
import re
import threading
import time
import urllib.error
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from benchmarks.measuring.memory import resident_mib
from benchmarks.measuring.ports import free_port
from serving import model_server
from serving.protocol.tensors import decode, encode
from serving.server.errors import ServingError
from serving.server.grpc_server import GrpcServer
from tests.commands import apart_flags
from tests.serving.api_requests import animate, metadata_request, status_request
from tests.serving.certificates import make_identities
from tests.serving.waiting import until

Code = grpc.StatusCode
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
BATCHING = """
max_batch_size { value: 2 } batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 3 } num_batch_threads { value: 1 }
"""


def escaped(pem: bytes) -> str:
    return pem.decode().replace("\n", "\\n")


class Operated:
    """The server, its files, and stubs of a client that it trusts."""

    def __init__(self, folder, toys, start_server):
        self.folder = folder
        self.authority, server, self.client = make_identities()
        toys.save_gate(folder / "gate" / "1", 1)
        files = {
            "models.config": toys.config_text({"gate": folder / "gate"}),
            "batching.config": BATCHING,
            "ssl.config": f'server_key: "{escaped(server.key)}" '
            f'server_cert: "{escaped(server.certificate)}" '
            f'custom_ca: "{escaped(self.authority.certificate)}" client_verify: true',
            "monitoring.config": "prometheus_config { enable: true }",
        }
        for name, text in files.items():
            (folder / name).write_text(text)
        self.port = free_port()
        self.server = start_server(
            folder / "models.config",
            "--enable_batching",
            f"--batching_parameters_file={folder / 'batching.config'}",
            f"--ssl_config_file={folder / 'ssl.config'}",
            f"--monitoring_config_file={folder / 'monitoring.config'}",
            f"--rest_api_port={self.port}",
            "--grpc_max_threads=2",
            "--max_queued_requests=8",
        )
        assert isinstance(self.server, toys.ServerProcess), self.server.stderr
        self.channel = self.connect(self.client.key, self.client.certificate)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def connect(self, key=None, certificate=None):
        credentials = grpc.ssl_channel_credentials(self.authority.certificate, key, certificate)
        return grpc.secure_channel(self.server.target, credentials)

    def request(self, gate="open"):
        message = predict_pb2.PredictRequest()
        message.model_spec.name = "gate"
        encode([str(self.folder / gate).encode()], message.inputs["path"])
        return message

    def send(self, gate):
        return self.prediction.Predict.future(self.request(gate), timeout=60)

    def metric(self, start):
        """Value of the metric whose line starts so; 0 if there is none."""
        lines = self.page("/monitoring/prometheus/metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(start))

    def page(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as page:
            return page.read().decode()


@pytest.fixture(scope="module")
def operated(tmp_path_factory, toys, start_server):
    folder = tmp_path_factory.mktemp("operated")
    (folder / "open").touch()
    operated = Operated(folder, toys, start_server)
    yield operated
    operated.channel.close()


def test_beside_tls_there_is_no_rest_api(operated):
    """It has no TLS: who must show a certificate to gRPC would get in without one."""
    assert "request_count" in operated.page("/monitoring/prometheus/metrics")
    for path in ("/v1/models/gate", "/v1/models/gate:predict"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            operated.page(path)


def test_tls_wants_the_clients_certificate(operated):
    answer = operated.prediction.Predict(operated.request(), timeout=60)
    assert decode(answer.outputs["number"]).tolist() == [1]
    with operated.connect() as nobody, grpc.insecure_channel(operated.server.target) as plain:
        for channel in (nobody, plain):
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(operated.request(), timeout=60)
            assert caught.value.code() == Code.UNAVAILABLE


def test_metrics_page_has_tensorflow_servings_names(operated):
    operated.prediction.Predict(operated.request(), timeout=60)
    with pytest.raises(grpc.RpcError):
        operated.prediction.Predict(animate(model="nobody"), timeout=60)
    until(lambda: operated.metric(":embedded_server:requests_in_flight ") == 0)  # counted after the answer
    page = operated.page("/monitoring/prometheus/metrics")
    for line in (
        ':tensorflow:serving:request_count{model_name="gate",status="OK"}',
        ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"} 1.0',
        ':tensorflow:serving:request_latency_count{API="Predict",entrypoint="GRPC",model_name="gate"}',
        ':tensorflow:serving:runtime_latency_bucket{API="Predict",le="10.0",model_name="gate",runtime="TF1"}',
        ":tensorflow:serving:batching_session:processed_batch_size_count",
        ':embedded_server:model_version_state{model_name="gate",state="AVAILABLE",version="1"} 1.0',
        ":embedded_server:requests_in_flight 0.0",
    ):
        assert line in page
    with pytest.raises(urllib.error.HTTPError) as caught:
        operated.page("/v1/models/gate")
    assert caught.value.code == 404


def test_a_request_whose_body_never_comes_keeps_nobody_else_waiting(operated):
    forever = threading.Event()

    def body():
        forever.wait(60)
        yield from ()

    call = operated.channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
    stuck = [call.future(body(), timeout=60) for _ in range(12)]  # more than there is room for
    for _ in range(5):
        assert operated.prediction.Predict(operated.request(), timeout=60).outputs
    assert not any(future.done() for future in stuck)
    forever.set()
    for future in stuck:
        future.cancel()


def test_overload_is_refused_while_health_and_status_are_answered(operated):
    running = operated.send("shut")
    until(lambda: operated.metric(":embedded_server:requests_in_flight") == 1)
    until(lambda: operated.metric(":embedded_server:queue_length") == 0)
    waiting = [operated.send("shut") for _ in range(20)]
    refused = until(lambda: [call for call in waiting if call.done()])
    until(lambda: operated.metric(":embedded_server:queue_length") == 6)
    until(lambda: len([call for call in waiting if call.done()]) == 14)
    refused = [call for call in waiting if call.done()]
    assert {call.code() for call in refused} == {Code.UNAVAILABLE}
    check = health_pb2.HealthCheckRequest()
    assert operated.health.Check(check, timeout=60).status == SERVING
    assert operated.model.GetModelStatus(status_request("gate"), timeout=60)
    assert operated.prediction.GetModelMetadata(metadata_request("gate"), timeout=60)
    # Who goes away is not computed: of six waiting, two stay.
    rows = ":tensorflow:serving:batching_session:processed_batch_size_sum"
    before = operated.metric(rows)
    left = [call for call in waiting if not call.done()]
    for call in left[:4]:
        call.cancel()
    cancelled = ':tensorflow:serving:request_count{model_name="gate",status="CANCELLED"}'
    until(lambda: operated.metric(cancelled) == 4)
    (operated.folder / "shut").touch()
    for call in [running, *left[4:]]:
        assert decode(call.result().outputs["number"]).tolist() == [1]
    assert operated.metric(rows) == before + 2
    assert operated.metric(":embedded_server:requests_in_flight") == 0


def test_deadlines_hold_in_the_queue(operated):
    running = operated.send("closed")
    until(lambda: operated.metric(":embedded_server:requests_in_flight") == 1)
    until(lambda: operated.metric(":embedded_server:queue_length") == 0)
    late = operated.prediction.Predict.future(operated.request("closed"), timeout=0.3)
    assert late.code() == Code.DEADLINE_EXCEEDED
    (operated.folder / "closed").touch()
    assert running.result()


def test_drain_finishes_what_is_queued_and_is_not_held_up_by_watchers(operated):
    watch = operated.health.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == SERVING
    calls = [operated.send("last") for _ in range(5)]
    until(lambda: operated.metric(":embedded_server:requests_in_flight") == 5)
    operated.server.process.terminate()
    assert next(watch).status == NOT_SERVING
    assert operated.server.process.poll() is None
    (operated.folder / "last").touch()
    for call in calls:
        assert decode(call.result().outputs["number"]).tolist() == [1]
    began = time.monotonic()
    assert operated.server.process.wait(timeout=60) == 0
    assert time.monotonic() - began < 25  # the grace is 30 s


def test_who_goes_away_counts_until_the_thread_lets_go_and_leaves_no_bytes(tmp_path, toys, start_server):
    toys.save_gate(tmp_path / "gate" / "1", 1)
    (tmp_path / "models.config").write_text(toys.config_text({"gate": tmp_path / "gate"}))
    (tmp_path / "monitoring.config").write_text("prometheus_config { enable: true }")
    port = free_port()
    server = start_server(
        tmp_path / "models.config",
        "--grpc_max_threads=1",
        "--max_queued_requests=3",
        f"--rest_api_port={port}",
        f"--monitoring_config_file={tmp_path / 'monitoring.config'}",
    )

    def in_flight():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/monitoring/prometheus/metrics", timeout=60) as page:
            return int(re.search(rb"\n:embedded_server:requests_in_flight (\d+)", page.read())[1])

    message = predict_pb2.PredictRequest()
    message.model_spec.name = "gate"
    encode([str(tmp_path / "shut").encode()], message.inputs["path"])
    running = server.prediction.Predict.future(message, timeout=60)
    until(lambda: in_flight() == 1)
    encode([b"x" * 60 * 2**20], message.inputs["path"])
    before = resident_mib(server.process.pid)
    gone = [server.prediction.Predict.future(message, timeout=60) for _ in range(3)]
    until(lambda: in_flight() == 4)
    assert resident_mib(server.process.pid) > before + 150
    for call in gone:
        call.cancel()
    until(lambda: resident_mib(server.process.pid) < before + 100)
    # The only thread has not come to them yet: one more would be beyond the limit.
    with pytest.raises(grpc.RpcError) as caught:
        server.prediction.Predict(message, timeout=60)
    assert caught.value.code() == Code.UNAVAILABLE and "4 requests" in caught.value.details()
    (tmp_path / "shut").touch()
    assert running.result()
    until(lambda: in_flight() == 0)
    encode([str(tmp_path / "shut").encode()], message.inputs["path"])
    for _ in range(5):
        assert server.prediction.Predict(message, timeout=60).outputs
    encode([b"x" * 65 * 2**20], message.inputs["path"])
    with pytest.raises(grpc.RpcError) as caught:
        server.prediction.Predict(message, timeout=60)
    assert caught.value.code() == Code.RESOURCE_EXHAUSTED and "larger than max" in caught.value.details()
    server.terminate()


def test_a_run_is_ended_and_many_rows_are_refused(tmp_path, toys, start_server):
    toys.save_gate(tmp_path / "gate" / "1", 1)
    (tmp_path / "models.config").write_text(toys.config_text({"gate": tmp_path / "gate"}))
    server = start_server(tmp_path / "models.config", "--max_run_seconds=0.5", "--max_request_rows=3")
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "gate"
    encode([str(tmp_path / "never").encode()], message.inputs["path"])
    for timeout in (60, None):
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            server.prediction.Predict(message, timeout=timeout)
        assert caught.value.code() == Code.DEADLINE_EXCEEDED and "max_run_seconds" in caught.value.details()
        assert time.monotonic() - began < 20
    (tmp_path / "never").touch()
    encode([str(tmp_path / "never").encode()] * 3, message.inputs["path"])
    assert server.prediction.Predict(message, timeout=60).outputs
    encode([str(tmp_path / "never").encode()] * 4, message.inputs["path"])
    with pytest.raises(grpc.RpcError) as caught:
        server.prediction.Predict(message, timeout=60)
    assert caught.value.code() == Code.INVALID_ARGUMENT and "4 rows, the limit is 3" in caught.value.details()
    server.terminate()


def test_what_takes_longer_than_the_grace_is_ended(tmp_path, toys, start_server):
    toys.save_gate(tmp_path / "gate" / "1", 1)
    (tmp_path / "models.config").write_text(toys.config_text({"gate": tmp_path / "gate"}))
    server = start_server(
        tmp_path / "models.config",
        "--shutdown_grace_seconds=0.3",
        "--grpc_channel_arguments=grpc.max_receive_message_length=10000",
    )
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "gate"
    encode([b"x" * 20000], message.inputs["path"])
    with pytest.raises(grpc.RpcError) as caught:
        server.prediction.Predict(message, timeout=60)
    assert caught.value.code() == Code.RESOURCE_EXHAUSTED
    encode([str(tmp_path / "never").encode()], message.inputs["path"])
    calls = [server.prediction.Predict.future(message) for _ in range(2)]  # no deadline
    until((tmp_path / "never.reached").exists)
    server.process.terminate()
    assert server.process.wait(timeout=20) == 0
    for call in calls:
        assert call.code() in (Code.UNAVAILABLE, Code.CANCELLED)


def test_health_tells_that_a_model_is_gone_and_the_file_has_the_last_word(tmp_path, toys, start_server):
    (tmp_path / "open").touch()
    for name in ("gate", "other"):
        toys.save_gate(tmp_path / name / "1", 1)
    config = tmp_path / "models.config"
    config.write_text(toys.config_text({name: tmp_path / name for name in ("gate", "other")}))
    server = start_server(
        config,
        "--file_system_poll_wait_seconds=0.1",
        "--model_config_file_poll_wait_seconds=0.1",
        "--allow_version_labels_for_unavailable_models",  # a file with labels is taken when nothing is loaded
    )
    check = health_pb2_grpc.HealthStub(server.channel).Check

    def status(service=""):
        return check(health_pb2.HealthCheckRequest(service=service), timeout=60).status

    def available(name):
        states = server.model.GetModelStatus(status_request(name), timeout=60).model_version_status
        return any(entry.state == 30 for entry in states)

    def answers(label):
        message = predict_pb2.PredictRequest()
        message.model_spec.name, message.model_spec.version_label = "gate", label
        encode([str(tmp_path / "open").encode()], message.inputs["path"])
        try:
            return server.prediction.Predict(message, timeout=60)
        except grpc.RpcError:
            return None

    assert status() == SERVING
    # A model that comes has not been there: the others are served on meanwhile.
    (tmp_path / "new").mkdir()
    names = {name: tmp_path / name for name in ("gate", "other", "new")}
    label = 'version_labels { key: "seen" value: 1 }'
    (tmp_path / "next.config").write_text(toys.config_text(names, gate=label))
    (tmp_path / "next.config").rename(config)
    until(lambda: answers("seen"))
    assert status() == SERVING
    # One that has been there is missed, in all services.
    (tmp_path / "other" / "1").rename(tmp_path / "away")
    until(lambda: status() == NOT_SERVING)
    assert status("tensorflow.serving.PredictionService") == NOT_SERVING
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "gate"
    encode([str(tmp_path / "open").encode()], message.inputs["path"])
    assert server.prediction.Predict(message, timeout=60).outputs  # the others go on
    (tmp_path / "away").rename(tmp_path / "other" / "1")
    until(lambda: status() == SERVING)
    # Somebody's ReloadConfig unloads all; at its next look the server takes the file's word.
    reload = model_management_pb2.ReloadConfigRequest()
    reload.config.model_config_list.SetInParent()
    server.model.HandleReloadConfigRequest(reload, timeout=60)
    until(lambda: available("gate") and available("other"))
    assert server.prediction.Predict(message, timeout=60).outputs
    until(lambda: status() == SERVING)
    server.terminate()


@pytest.mark.parametrize(
    ("reload_from", "peer", "allowed"),
    [
        ("local", "ipv4:127.0.0.1:4000", True),
        ("local", "ipv6:%5B::1%5D:4000", True),
        ("local", "unix:", True),
        ("local", "ipv4:10.0.0.7:4000", False),
        ("local", "ipv6:%5Bfd00::1%5D:4000", False),
        ("none", "ipv4:127.0.0.1:4000", False),
        ("all", "ipv4:10.0.0.7:4000", True),
    ],
)
def test_who_may_change_what_is_served(reload_from, peer, allowed):
    handled = []

    class Model:
        get_model_status = None

        def handle_reload_config_request(self, request, cancelled):
            handled.append(request)
            return model_management_pb2.ReloadConfigResponse()

    class Prediction:
        get_model_metadata = None

    class Context:
        def peer(self):
            return peer

    async def reload():
        server = GrpcServer(Prediction(), Model(), reload_from=reload_from)
        await server._reload(b"", Context())

    if allowed:
        asyncio.run(reload())
    else:
        with pytest.raises(ServingError, match=re.escape(peer)) as caught:
            asyncio.run(reload())
        assert caught.value.code == Code.PERMISSION_DENIED
    assert bool(handled) == allowed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batching_parameters_file": "x"}, "batching_parameters_file is set without"),
        ({"enable_per_model_batching_parameters": True}, "parameters is set without"),
        ({"enable_batching": True, "batching_parameters_file": "{bad}"}, "bad.config: .*nonsense"),
        ({"ssl_config_file": "{bad}"}, "bad.config: .*nonsense"),
        ({"ssl_config_file": "{names}"}, "names.config: server_key: expected a PEM text"),
        ({"monitoring_config_file": "{bad}", "rest_api_port": 1}, "bad.config: .*nonsense"),
        ({"monitoring_config_file": "{monitoring}"}, "needs a --rest_api_port"),
        ({"rest_api_port": 8500}, "are both 8500"),
        ({"grpc_channel_arguments": ["a"]}, "got 'a', expected name=value"),
        ({"model_config_file": None}, "got neither of --model_config_file and --model_base_path"),
        ({"model_base_path": "/models/generator"}, "got both of --model_config_file and --model_base_path"),
        ({"model_name": "generator"}, "--model_name goes with --model_base_path"),
        ({"model_config_file": None, "model_base_path": "models"}, "--model_base_path: .*default .*absolute path"),
        (
            {"model_config_file": None, "model_base_path": "/x", "model_config_file_poll_wait_seconds": 1.0},
            "--model_config_file_poll_wait_seconds needs a --model_config_file",
        ),
    ],
)
def test_wrong_flags_and_files_are_named(tmp_path, settings, message):
    (tmp_path / "models.config").write_text("model_config_list {}")
    (tmp_path / "bad.config").write_text("nonsense: 1")
    (tmp_path / "names.config").write_text('server_key: "server.key" server_cert: "server.pem"')
    (tmp_path / "monitoring.config").write_text("prometheus_config { enable: true }")
    paths = {name: tmp_path / f"{name}.config" for name in ("bad", "names", "monitoring")}
    settings = {name: value.format(**paths) if isinstance(value, str) else value for name, value in settings.items()}
    settings = {"model_config_file": str(tmp_path / "models.config")} | settings
    with apart_flags() as flags, pytest.raises(ServingError, match=message):
        model_server.define_flags()
        flags.mark_as_parsed()
        for name, value in settings.items():
            setattr(flags, name, value)
        asyncio.run(model_server.serve())
