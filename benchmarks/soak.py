"""Load with reloads: `python -m benchmarks.soak --minutes=30 --reload_every=10`.

Several clients ask for frames without a pause, with batching, while every `--reload_every` seconds
a new version is published, the old one removed, and the list of models changed and changed back.
Counts failed requests and watches the server's memory. The last line is JSON; exit code 1 if a
request failed or the memory of the last third exceeds that of the first (after a fifth for
warming up) by more than 5 %.
"""

import collections
import json
import pathlib
import shutil
import tempfile
import threading
import time

import grpc
import numpy as np
from absl import flags
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

from benchmarks.attacks.server import config_text, export_tiny_models
from benchmarks.measuring.memory import resident_mib
from benchmarks.measuring.result import result
from serving.client import TalkingHeadClient, signatures
from serving.client.frame_requests import Drawing
from serving.client.messages import ModelChoice
from serving.client.stubs import PREDICT, method_of
from serving.protocol import api
from serving.server.child import local_server_process
from tf_talking import program

FLAGS = flags.FLAGS
_TIMEOUT = 60
_BATCHING = """
max_batch_size { value: 8 } batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 100 } allowed_batch_sizes: [1, 2, 4, 8]
"""


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_float("minutes", 30, "Length.", lower_bound=0.05)
    flags.DEFINE_float("reload_every", 10, "Seconds between reloads.", lower_bound=0.2)
    flags.DEFINE_integer("load_clients", 4, "Threads that send requests.", lower_bound=1)


class Load:
    """Clients of `animate`, each in a thread of its own."""

    def __init__(self, target: str, request: api.PredictRequest, clients: int):
        self.codes: collections.Counter = collections.Counter()
        self._target, self._request = target, request
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the clients after their request."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self) -> None:
        with grpc.insecure_channel(self._target) as channel:
            predict = method_of(channel, PREDICT, api.PredictResponse)
            while not self._stop.is_set():
                try:
                    predict(self._request, timeout=_TIMEOUT)
                    code = "OK"
                except grpc.RpcError as error:
                    code = f"{error.code().name}: {error.details()}"
                with self._lock:
                    self.codes[code] += 1


class Reloader:
    """Publishes versions of the model `generator` and reloads the server's configuration."""

    def __init__(self, folder: pathlib.Path, target: str):
        self._folder, self._version = folder, 1
        self._channel = grpc.insecure_channel(target)
        self._stub = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._client = TalkingHeadClient(target, _TIMEOUT)

    def reload(self) -> None:
        """One new version, the old one's folder removed, another model come or gone."""
        model = self._folder / "generator"
        hidden = self._folder / "hidden"
        shutil.copytree(model / str(self._version), hidden)
        old, self._version = self._version, self._version + 1
        hidden.rename(model / str(self._version))
        models = ("generator", "embedder") if self._version % 2 else ("generator",)
        message = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(config_text(self._folder, models), message.config)
        self._stub.HandleReloadConfigRequest(message, timeout=_TIMEOUT)
        end = time.monotonic() + _TIMEOUT
        while self._state(self._version) != "AVAILABLE":
            if time.monotonic() > end:
                raise TimeoutError(f"version {self._version} is {self._state(self._version)}")
            time.sleep(0.05)
        shutil.rmtree(model / str(old))

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()
        self._client.close()

    def _state(self, version: int) -> str:
        states = {entry.version: entry.state for entry in self._client.model_status("generator")}
        return states.get(version, "unknown")


def soak(config: pathlib.Path, seconds: float, every: float, clients: int) -> dict:
    """Runs it against a server of its own.

    Args:
      config: a models.config beside the folders `generator` (version 1) and `embedder`.
      seconds: length.
      every: seconds between reloads.
      clients: threads.

    Returns:
      Counts of codes, reloads, and the server's memory over time.
    """
    folder = config.parent
    parameters = folder / "batching.config"
    parameters.write_text(_BATCHING)
    arguments = ("--enable_batching", f"--batching_parameters_file={parameters}", "--file_system_poll_wait_seconds=0.2")
    with local_server_process(config, *arguments) as (target, process):
        load = Load(target, _request(target), clients)
        reloader = Reloader(folder, target)
        memory, reloads = [], 0
        began = time.monotonic()
        try:
            while (now := time.monotonic() - began) < seconds:
                if now >= (reloads + 1) * every:
                    reloader.reload()
                    reloads += 1
                memory.append(round(resident_mib(process.pid), 1))
                time.sleep(min(1.0, every / 4))
                if len(memory) % 60 == 0:
                    print(f"{now:.0f} s: {dict(load.codes)}, {memory[-1]} MiB", flush=True)
        finally:
            load.stop()
            reloader.close()
        alive = process.poll() is None
    settled = memory[len(memory) // 5 :]
    third = max(len(settled) // 3, 1)
    first, last = np.mean(settled[:third]), np.mean(settled[-third:])
    return {
        "seconds": round(time.monotonic() - began, 1),
        "reloads": reloads,
        "requests": sum(load.codes.values()),
        "failed": {code: count for code, count in load.codes.items() if code != "OK"},
        "alive": alive,
        "memory_mib": {"first_third": round(first, 1), "last_third": round(last, 1)},
        "memory_ratio": round(float(last / first), 3),
        "memory_over_time": memory[:: max(len(memory) // 30, 1)],
    }


def _request(target: str) -> api.PredictRequest:
    """One frame's landmarks and ψ, in the sizes that the server tells."""
    with TalkingHeadClient(target) as client:
        size = signatures.adain_size(client.metadata("generator"), "generator")
    landmarks = np.random.default_rng(0).uniform(10, 50, (68, 2)).astype(np.float32)
    return Drawing(ModelChoice("generator"), np.zeros(size, np.float32), (68, 2)).request([landmarks])


def main(argv):
    with tempfile.TemporaryDirectory() as folder:
        config = export_tiny_models(pathlib.Path(folder))
        figures = soak(config, 60 * FLAGS.minutes, FLAGS.reload_every, FLAGS.load_clients)
    passed = not figures["failed"] and figures["alive"] and figures["memory_ratio"] <= 1.05
    print(json.dumps(result({"passed": passed, **figures})))
    return 0 if passed else 1


if __name__ == "__main__":
    program.run(main, define_flags)
