"""What the load of a server is measured by: frames, bytes, percentiles."""

import os
import time

import numpy as np
import pytest

from benchmarks.attacks.load import Load, ServerUnderLoad, cpu_seconds, landmark_sets
from serving.protocol.tensors import decode
from tests.serving.client_helpers import ScriptedServer, jpeg_answer


def test_every_answer_is_counted_with_its_bytes_and_persons_take_turns():
    sizes, people = [], set()

    def answer(request, number, context):
        response = jpeg_answer(request)
        sizes.append((request.ByteSize(), response.ByteSize()))
        people.add(float(decode(request.inputs["adain_params"])[0, 0]))
        return response

    server = ScriptedServer(None, answer)
    adain_params = np.repeat(np.arange(4, dtype=np.float32)[:, None], 10, 1)
    runner = ServerUnderLoad(server.target, landmark_sets(64), adain_params)
    load = runner.run(clients=3, persons=2, seconds=0.2)
    load.add(runner.run(clients=1, persons=2, seconds=0.1))
    server.server.stop(None)
    assert len(load.latencies) == len(sizes) > 8 and people == {0.0, 1.0}
    assert (load.bytes_up, load.bytes_down) == tuple(np.sum(sizes, axis=0))
    assert load.seconds > 0.3
    figures = load.figures(knows_cpu=False, knows_bytes=True)
    assert figures["cpu_s"] is None and figures["bytes_up"] >= 544 + 40


def test_figures_of_known_latencies():
    load = Load(seconds=2.0, cpu_seconds=1.0, latencies=[0.001 * i for i in range(1, 101)])
    figures = load.figures(knows_cpu=True, knows_bytes=False)
    assert figures["fps"] == 50 and figures["cpu_s"] == 0.01 and figures["bytes_up"] is None
    assert figures["p50_ms"] == pytest.approx(50.5, abs=0.1)
    assert figures["p99_ms"] == pytest.approx(99.0, abs=0.1)


def test_cpu_seconds_are_those_of_the_process():
    assert cpu_seconds(os.getpid()) == pytest.approx(time.process_time(), abs=0.2)
