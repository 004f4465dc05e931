"""Real server processes with toy models.

The servers run in a folder from which only `serving` can be imported: none of this project's
networks, nor the rest of its library, is within their reach.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import threading

import grpc
import pytest
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from benchmarks.measuring.ports import free_port
from tests.serving import toy_models as toy

UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
BATCHING = """
max_batch_size { value: 8 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 2 }
allowed_batch_sizes: 1
allowed_batch_sizes: 4
allowed_batch_sizes: 8
"""


@dataclasses.dataclass
class ServerProcess:
    """A running server and what a raw client needs."""

    process: subprocess.Popen
    ready_line: str
    log: list[str]

    def __post_init__(self):
        self.target = self.ready_line.split(" at ")[1].split()[0]
        self.channel = grpc.insecure_channel(self.target, options=UNLIMITED)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code. An idle connection would be waited for (up to 5 s)."""
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, repo_root):
    """A working folder in which `serving`, and nothing else of the project, can be imported."""
    folder = tmp_path_factory.mktemp("only_serving")
    (folder / "serving").symlink_to(repo_root / "serving")
    return folder


@pytest.fixture(scope="session")
def start_server(run_folder):
    """start_server(config path or None, *flags) -> ServerProcess, CompletedProcess if it ended."""
    started = []

    def start(config, *flags):
        command = [sys.executable, "-m", "serving.model_server"]
        command += [*([f"--model_config_file={config}"] if config else []), "--port=0", *flags]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        process = subprocess.Popen(
            command,
            cwd=run_folder,
            env=environment | {"CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        log = []
        reader = threading.Thread(target=lambda: log.extend(process.stderr), daemon=True)
        reader.start()
        line = process.stdout.readline()
        if line:
            return ServerProcess(process, line, log)
        code = process.wait(timeout=60)
        reader.join()
        return subprocess.CompletedProcess(command, code, stderr="".join(log))

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory):
    """Folder with version 1 of each toy model and their models.config."""
    folder = tmp_path_factory.mktemp("models")
    toy.save_all(folder)
    return folder


@pytest.fixture(scope="session")
def toy_server(toy_models, start_server):
    """A server with the toy models; `rest` is where it answers HTTP."""
    port = free_port()
    server = start_server(toy_models / "models.config", f"--rest_api_port={port}")
    assert isinstance(server, ServerProcess), server.stderr
    server.rest = f"http://127.0.0.1:{port}"
    yield server
    server.terminate()


@pytest.fixture(scope="session")
def batching_server(toy_models, start_server, tmp_path_factory):
    """The same models in batches of up to 8 rows."""
    parameters = tmp_path_factory.mktemp("batching") / "batching.config"
    parameters.write_text(BATCHING)
    port = free_port()
    flags = ["--enable_batching", f"--batching_parameters_file={parameters}", f"--rest_api_port={port}"]
    server = start_server(toy_models / "models.config", *flags)
    assert isinstance(server, ServerProcess), server.stderr
    server.rest = f"http://127.0.0.1:{port}"
    yield server
    server.terminate()


class Toys:
    """What tests need to build and configure models themselves."""

    ServerProcess = ServerProcess
    config_text = staticmethod(toy.config_text)
    save_gate = staticmethod(toy.save_gate)
    save_decoder = staticmethod(toy.save_decoder)
    save_generator = staticmethod(toy.save_generator)


@pytest.fixture(scope="session")
def toys():
    """The helpers above."""
    return Toys
