"""Malformed requests against the embedded server: `python -m benchmarks.malformed_requests`.

Fuzzed bytes, mutated requests, wrong shapes, types, counts and names, empty lists that claim any
number of rows, landmarks that are not finite, truncated and faked pictures, wide, tall and
progressive ones and a PNG of 100 megapixels, over gRPC and REST, from several clients, with and
without batching. Every one must be answered in time by an allowed code or by a frame, the server
must live on, answer a good request as before, and hold no more memory. As many damaged person cards
and archives that blow up must be refused by one kind of error. The last line is JSON; exit code 1
if anything was not so.

Where no signature takes bytes of pictures, those kinds are left out and `kinds` shows it.
"""

import json
import pathlib
import tempfile
import time

from absl import flags

from benchmarks.attacks.cards import attack_cards
from benchmarks.attacks.fuzzer import Fuzzer, attack
from benchmarks.attacks.rest import RestFuzzer
from benchmarks.attacks.server import export_tiny_models
from benchmarks.measuring.memory import resident_mib
from benchmarks.measuring.ports import free_port
from benchmarks.measuring.result import result
from serving.server.child import local_server_process
from tf_talking import program

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_integer("requests", 5000, "Malformed requests, of each server.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of the requests.")
    flags.DEFINE_integer("clients", 4, "Requests at the same time.", lower_bound=1)


# How the C library's heaps are cut up differs by some per cent from time to time: the server has
# grown where it holds more than it did after any of these parts of the warm-up.
_WARMUPS = 4


def measure(config: pathlib.Path, models, requests: int, seed: int, clients: int, *arguments):
    """Attacks one server; returns the figures."""
    port = free_port()
    with local_server_process(config, *arguments, f"--rest_api_port={port}") as (target, process):
        fuzzer = Fuzzer(target, models, seed)
        rest = RestFuzzer(f"127.0.0.1:{port}", fuzzer.good, seed)
        expected = fuzzer.good_answers()
        before, part = 0.0, max(requests // 2 // _WARMUPS, 10)
        for number in range(_WARMUPS):
            numbers = range(requests + number * part, requests + (number + 1) * part)
            attack(fuzzer, numbers, clients)
            attack(rest, numbers[: len(numbers) // 4], clients)
            before = max(before, _settled(process.pid))
        figures = attack(fuzzer, range(requests), clients)
        figures["rest"] = attack(rest, range(requests // 4), clients)
        figures["not_allowed"] += figures["rest"].pop("not_allowed")
        same = fuzzer.good_answers() == expected
        after = _settled(process.pid)
        fuzzer.close()
        figures |= {
            "requests": requests,
            "alive": process.poll() is None,
            "good_answers_unchanged": same,
            "memory_mib": [round(before, 1), round(after, 1)],
            "memory_ratio": round(after / before, 3),
        }
    return figures


def _settled(pid: int) -> float:
    """Resident MiB once the server has given back what it does not use."""
    time.sleep(12)
    return resident_mib(pid)


def main(argv):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        config = export_tiny_models(folder)
        parameters = folder / "batching.config"
        parameters.write_text(
            "max_batch_size { value: 8 } batch_timeout_micros { value: 2000 } max_enqueued_batches { value: 100 }"
        )
        batching = ("--enable_batching", f"--batching_parameters_file={parameters}")
        servers = {}
        for name, arguments in (("plain", ()), ("batching", batching)):
            servers[name] = measure(
                config, ("embedder", "generator"), FLAGS.requests, FLAGS.seed, FLAGS.clients, *arguments
            )
            print(f"{name}: {servers[name]}")
        cards = attack_cards(folder, FLAGS.requests, FLAGS.seed)
        print(f"cards: {cards}")
    passed = all(
        figures.get("alive", True)
        and figures.get("good_answers_unchanged", True)
        and not figures["not_allowed"]
        and figures["memory_ratio"] <= 1.05
        for figures in (*servers.values(), cards)
    )
    print(json.dumps(result({"passed": passed, **servers, "cards": cards})))
    return 0 if passed else 1


if __name__ == "__main__":
    program.run(main, define_flags)
