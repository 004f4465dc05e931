"""Parts of `benchmarks.serving`: the exported model, the direct call, clients, CPU seconds."""

import asyncio
import dataclasses
import os
import pathlib
import time

import grpc
import numpy as np
import tensorflow as tf

from benchmarks.measuring.networks import random_generator, random_psi
from benchmarks.measuring.turns import seconds_of
from serving.client.channels import Connection, connection
from serving.client.frame_requests import Drawing
from serving.client.messages import ModelChoice
from serving.client.stubs import PREDICT, method_of
from serving.protocol import api
from tf_talking.config import get_preset
from tf_talking.served.folder import ServingFolder
from tf_talking.served.graphs import save_generator

_TIMEOUT = 300.0  # seconds; the first request of a shape is traced


@dataclasses.dataclass
class Load:
    """What a case has measured so far; rounds are added up."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: list[float] = dataclasses.field(default_factory=list)
    bytes_up: int = 0
    bytes_down: int = 0

    def add(self, other: "Load") -> None:
        """Adds another round."""
        for field in dataclasses.fields(self):
            total = getattr(self, field.name) + getattr(other, field.name)
            setattr(self, field.name, total)

    def figures(self, knows_cpu: bool, knows_bytes: bool) -> dict:
        """Per frame; None where it can not be told."""
        frames = len(self.latencies)
        p50, p95, p99 = np.percentile(self.latencies, (50, 95, 99)) * 1000
        return {
            "frames": frames,
            "fps": round(frames / self.seconds, 3),
            "p50_ms": round(p50, 1),
            "p95_ms": round(p95, 1),
            "p99_ms": round(p99, 1),
            "cpu_s": round(self.cpu_seconds / frames, 4) if knows_cpu else None,
            "bytes_up": round(self.bytes_up / frames) if knows_bytes else None,
            "bytes_down": round(self.bytes_down / frames) if knows_bytes else None,
        }


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far, all of its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def export(folder: pathlib.Path, preset: str, persons: int) -> tuple[int, np.ndarray]:
    """Writes a generator with random weights as `serving.export` does; for a process of its own.

    Returns S, and ψ of some people, float32 [persons, L].
    """
    config = get_preset(preset)
    generator = random_generator(config)
    ServingFolder(folder).publish("generator", lambda path: save_generator(path, config, generator))
    return config.model.image_size, random_psi(config, persons)


def landmark_sets(size: int, count: int = 64) -> np.ndarray:
    """float32 [count, 68, 2] about the middle of the picture."""
    points = np.random.default_rng(1).uniform(0.25, 0.75, (count, 68, 2)) * size
    return points.astype(np.float32)


def direct_call(folder: pathlib.Path, landmarks: np.ndarray, people: np.ndarray):
    """`animate` of the SavedModel, one frame a call; for a process of its own.

    Returns a function as `ServerUnderLoad.run`, for one client.
    """
    model = tf.saved_model.load(str(folder / "generator" / "1"))
    animate = model.signatures["animate"]

    def call(index: int, persons: int) -> None:
        animate(
            landmarks=tf.constant(landmarks[index % len(landmarks)][None]),
            adain_params=tf.constant(people[index % persons][None]),
        )["frames_jpeg"].numpy()

    def run(clients: int, persons: int, seconds: float) -> Load:
        load, start, used = Load(), time.perf_counter(), time.process_time()
        while (now := time.perf_counter() - start) < seconds or not load.latencies:
            index = len(load.latencies)
            load.latencies.append(seconds_of(lambda i=index: call(i, persons)))
        load.seconds = max(now, time.perf_counter() - start)
        load.cpu_seconds = time.process_time() - used
        return load

    run.model = model  # a signature does not keep its model alive
    for index in range(5):
        call(index, 1)
    return run


class ServerUnderLoad:
    """A server and clients of it: each has a connection and waits for its frame before the next.

    Args:
      pid: the server's process, where it is on this machine.
    """

    def __init__(self, target: str, landmarks: np.ndarray, people: np.ndarray, pid: int | None = None):
        self.pid = pid
        where = connection(target, retries=0)
        # Clients on other machines do not share a connection; here they would.
        options = (*where.options, ("grpc.use_local_subchannel_pool", 1))
        self._where = Connection(where.target, options, None)
        self._landmarks, self._people = landmarks, people

    def run(self, clients: int, persons: int, seconds: float) -> Load:
        """Loads the server for some seconds; requests that are under way then still count."""
        load, used = Load(), cpu_seconds(self.pid) if self.pid else 0.0
        asyncio.run(self._run(load, clients, persons, seconds))
        if self.pid:
            load.cpu_seconds = cpu_seconds(self.pid) - used
        return load

    async def _run(self, load: Load, clients: int, persons: int, seconds: float) -> None:
        channels = [self._where.open_async() for _ in range(clients)]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        start = time.perf_counter()
        await asyncio.gather(
            *(self._client(load, channel, number, persons, start + seconds) for number, channel in enumerate(channels))
        )
        load.seconds = time.perf_counter() - start
        await asyncio.gather(*(channel.close() for channel in channels))

    async def _client(self, load: Load, channel: grpc.aio.Channel, number: int, persons: int, end: float) -> None:
        predict = method_of(channel, PREDICT, api.PredictResponse)
        people = self._people[:persons]
        index, drawings = number, [Drawing(ModelChoice("generator"), params, (68, 2)) for params in people]
        while True:
            row = self._landmarks[index % len(self._landmarks)]
            start = time.perf_counter()
            request = drawings[index % persons].request([row])
            response = await predict(request, timeout=_TIMEOUT)
            load.latencies.append(time.perf_counter() - start)
            load.bytes_up += request.ByteSize()
            load.bytes_down += response.ByteSize()
            index += 1
            if time.perf_counter() > end:
                return
