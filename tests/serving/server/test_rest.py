"""What the embedded server's REST API does where TensorFlow Serving has no rule, or another one."""

import concurrent.futures
import http.client
import json
import socket
import urllib.parse

import pytest

from benchmarks.measuring.ports import free_port
from serving.server.http.rest_api import MAX_BODY_BYTES
from tests.serving.waiting import until


def ask(address, path, body=b"", method="POST"):
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request(method, path, body)
    response = connection.getresponse()
    return response.status, response.read()


@pytest.fixture(scope="module")
def address(toy_server):
    return urllib.parse.urlparse(toy_server.rest).netloc


@pytest.mark.parametrize(
    "body, status, message",
    [
        (b"\xff\xfe{}", 400, "JSON Parse error"),
        (b"[" * 100_000, 400, "JSON Parse error"),
        (b'{"inputs": ' + b"9" * 10_000 + b"}", 400, "JSON Parse error"),
        (b'{"inputs": {"landmarks": [[[NaN]]], "adain_params": [[0]]}}', 400, "Missing named input"),
        (b" " * (MAX_BODY_BYTES + 1), 413, f"a body may have {MAX_BODY_BYTES} bytes"),
    ],
)
def test_bodies_that_are_no_request(address, body, status, message):
    got, answer = ask(address, "/v1/models/generator:predict", body)
    assert got == status and message in json.loads(answer)["error"]


def test_bytes_that_json_can_not_hold_are_refused_with_the_way_out(address):
    body = {"signature_name": "animate", "inputs": {"landmarks": [[[5.0, 5.0]] * 68], "adain_params": [[0.0] * 6]}}
    status, answer = ask(address, "/v1/models/generator:predict", json.dumps(body).encode())
    assert status == 501
    assert "output frames_jpeg is no UTF-8 text" in json.loads(answer)["error"]
    assert "ends in _bytes is sent as base64" in json.loads(answer)["error"]


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_other_methods_are_not_implemented(address, method):
    assert ask(address, f"/v1/models/generator:{method}", b"{}")[0] == 501


def test_paths_outside_the_api_are_not_found(address):
    assert ask(address, "/", method="GET")[0] == 404
    assert ask(address, "/monitoring/prometheus/metrics", method="GET")[0] == 404  # not asked for


@pytest.fixture
def start_gate(tmp_path, toys, start_server):
    """start_gate(ms for a request) -> (file that opens it, address); one request at a time."""
    servers = []

    def start(timeout):
        toys.save_gate(tmp_path / "gate" / "1", 7)
        (tmp_path / "models.config").write_text(toys.config_text({"gate": tmp_path / "gate"}))
        (tmp_path / "monitoring.config").write_text("prometheus_config { enable: true }")
        port = free_port()
        server = start_server(
            tmp_path / "models.config",
            f"--rest_api_port={port}",
            f"--monitoring_config_file={tmp_path / 'monitoring.config'}",
            f"--rest_api_timeout_in_ms={timeout}",
            "--grpc_max_threads=1",
            "--max_queued_requests=0",
        )
        assert isinstance(server, toys.ServerProcess), server.stderr
        servers.append(server)
        return tmp_path / "open", f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.terminate()


def metric(address, start):
    _, page = ask(address, "/monitoring/prometheus/metrics", method="GET")
    return sum(float(line.split()[-1]) for line in page.decode().splitlines() if line.startswith(start))


def in_flight(address):
    return metric(address, ":embedded_server:requests_in_flight ")


def test_limits_deadlines_and_metrics_are_those_of_grpc(start_gate):
    path, address = start_gate(timeout=2000)
    body = json.dumps({"inputs": [str(path)]}).encode()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(ask, address, "/v1/models/gate:predict", body)
        until(lambda: in_flight(address) == 1)
        status, answer = ask(address, "/v1/models/gate:predict", body)
        assert status == 503 and "which is the limit" in json.loads(answer)["error"]
        assert first.result()[0] == 504
    until(lambda: in_flight(address) == 0)
    path.touch()
    assert ask(address, "/v1/models/gate:predict", body) == (200, b'{"outputs": [7]}')
    latency = ':tensorflow:serving:request_latency_count{API="Predict",entrypoint="REST",model_name="gate"}'
    assert metric(address, latency) == 1


def test_who_goes_away_is_noticed_before_the_answer_is_there(start_gate):
    path, address = start_gate(timeout=300_000)
    body = json.dumps({"inputs": [str(path)]}).encode()
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /v1/models/gate:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        client.sendall(body)
        until(lambda: in_flight(address) == 1)
    until(lambda: metric(address, ':tensorflow:serving:request_count{model_name="gate",status="CANCELLED"}') == 1)
    path.touch()
    until(lambda: in_flight(address) == 0)
    assert ask(address, "/v1/models/gate:predict", body)[0] == 200
