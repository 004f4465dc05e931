"""What a server costs over the direct call: `python -m benchmarks.serving`.

Side by side on this machine, interleaved in rounds: the SavedModel called directly (`animate`, one
frame a call); the embedded server, plain and with batching; TensorFlow Serving, where
`tensorflow_model_server` is on PATH or TF_SERVING_ADDRESS (HOST:PORT of one that serves the same
preset as `generator`) is set. Clients 1, 4, 16 and persons 1, 16: frames/s, latency percentiles,
CPU seconds of the server a frame, serialised bytes of request and response a frame.

Each client waits for its frame before it sends the next landmarks. All clients run in one process,
apart from the servers' processes but on the same cores; they do not decode the JPEGs. Weights are
random: time and the size of requests do not depend on them, the size of the JPEGs does.

ψ goes up with every request, since rows of a batch may be different people and TensorFlow Serving
keeps nothing between requests: 13,056 floats are 52 kB for `paper`, the landmarks alone 544 bytes.

The last line is JSON, with ratios of frames/s to the direct call.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import flags

from benchmarks.attacks.load import Load, ServerUnderLoad, direct_call, export, landmark_sets
from benchmarks.measuring.child import Child, run_in_child
from benchmarks.measuring.result import result
from serving.client.blocking import TalkingHeadClient
from serving.client.signatures import adain_size
from serving.server.child import local_server_process
from tf_talking import program
from tf_talking.config import PRESETS
from tf_talking.text_table import text_table

FLAGS = flags.FLAGS

DIRECT = "direct call"
# A batch is run as soon as a thread is free, with whoever waits by then: no time is spent waiting.
BATCHING = """
max_batch_size { value: 8 }
batch_timeout_micros { value: 0 }
num_batch_threads { value: 1 }
max_enqueued_batches { value: 100 }
"""


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Preset of the generator.")
    flags.DEFINE_float("seconds", 10.0, "Of each case, over all rounds.", lower_bound=0.1)
    flags.DEFINE_integer("rounds", 3, "Every case has a part of its time in each.", lower_bound=1)
    flags.DEFINE_list("clients", ["1", "4", "16"], "Numbers of clients.")
    flags.DEFINE_list("persons", ["1", "16"], "Numbers of people who take turns.")
    flags.DEFINE_list("variants", ["plain", "batching", "tf_serving"], "Of these three.")
    flags.DEFINE_string("batching_parameters", None, "Text proto to use instead of BATCHING.")


def embedded(stack: contextlib.ExitStack, config: pathlib.Path, *arguments: str):
    """(target, process id) of the embedded server."""
    target, process = stack.enter_context(local_server_process(config, *arguments))
    return target, process.pid


def start_tf_serving(stack: contextlib.ExitStack, config: pathlib.Path):
    """(target, process id or None) of TensorFlow Serving, or None where there is none."""
    if address := os.environ.get("TF_SERVING_ADDRESS"):
        return address, None
    program = shutil.which("tensorflow_model_server")
    if program is None:
        return None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, f"--port={port}", f"--model_config_file={config}", "--rest_api_port=0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return f"127.0.0.1:{port}", process.pid


def start_servers(stack: contextlib.ExitStack, folder: pathlib.Path) -> dict:
    """name -> (target, process id or None); says which ones are left out."""
    config = folder / "models.config"
    parameters = folder / "batching.pbtxt"
    given = FLAGS.batching_parameters
    parameters.write_text(pathlib.Path(given).read_text() if given else BATCHING)
    servers = {}
    if "plain" in FLAGS.variants:
        servers["embedded server"] = embedded(stack, config)
    if "batching" in FLAGS.variants:
        arguments = ("--enable_batching", f"--batching_parameters_file={parameters}")
        servers["embedded, batching"] = embedded(stack, config, *arguments)
    if "tf_serving" in FLAGS.variants:
        found = start_tf_serving(stack, config)
        if found is None:
            print("left out: no tensorflow_model_server on PATH, TF_SERVING_ADDRESS not set")
        else:
            servers["TensorFlow Serving"] = found
    return servers


def check_server(target: str, adain_length: int) -> None:
    """Waits for the server. Raises ValueError where it serves another generator."""
    with TalkingHeadClient(target) as client:
        client.wait_until_ready(timeout=120)
        expected = adain_size(client.metadata("generator"), "generator")
    if expected not in (None, adain_length):
        raise ValueError(f"{target}: its ψ has {expected} values, that of {FLAGS.preset} {adain_length}")


def measure(runners: dict, cases: list[tuple[str, int, int]]) -> dict:
    """(name, clients, persons) -> Load; a warm-up, then all cases in every round."""
    loads = {case: Load() for case in cases}
    for name, clients, persons in cases:
        runners[name](clients, persons, min(1.0, FLAGS.seconds))  # shapes are traced once
    for number in range(FLAGS.rounds):
        for case in cases:
            name, clients, persons = case
            loads[case].add(runners[name](clients, persons, FLAGS.seconds / FLAGS.rounds))
        print(f"round {number + 1} of {FLAGS.rounds} done", file=sys.stderr, flush=True)
    return loads


def ratios(figures: dict, persons: list[int]) -> dict:
    """Each server's frames/s by the direct call's, at few and many clients."""
    direct = figures[DIRECT, 1, 1]["fps"]
    found = {
        f"{name}, clients {clients}, persons {people}": round(case["fps"] / direct, 3)
        for (name, clients, people), case in figures.items()
        if name != DIRECT
    }
    few, many = min(persons), max(persons)
    for (name, clients, people), case in figures.items():
        if name != DIRECT and people == many != few:
            key = f"{name}, clients {clients}, persons {many} by {few}"
            found[key] = round(case["fps"] / figures[name, clients, few]["fps"], 3)
    return found


def show(figures: dict) -> None:
    """Prints the table."""
    columns = ("fps", "p50_ms", "p95_ms", "p99_ms", "cpu_s", "bytes_up", "bytes_down")
    rows = [(*case, *(values[column] for column in columns)) for case, values in figures.items()]
    print(text_table(("", "clients", "persons", *columns), rows))


def main(argv):
    clients = [int(number) for number in FLAGS.clients]
    persons = [int(number) for number in FLAGS.persons]
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        size, people = run_in_child(export, folder, FLAGS.preset, max(persons))
        landmarks = landmark_sets(size)
        direct = stack.enter_context(Child(direct_call, folder, landmarks, people))
        runners = {DIRECT: direct.ask}
        servers = start_servers(stack, folder)
        for name, (target, pid) in servers.items():
            check_server(target, people.shape[1])
            runners[name] = ServerUnderLoad(target, landmarks, people, pid).run
        cases = [(DIRECT, 1, 1)]
        cases += [(name, c, p) for name in servers for c in clients for p in persons]
        loads = measure(runners, cases)
    known = {name: pid is not None for name, (_, pid) in servers.items()} | {DIRECT: True}
    figures = {case: load.figures(known[case[0]], case[0] != DIRECT) for case, load in loads.items()}
    show(figures)
    return result(
        {
            "preset": FLAGS.preset,
            "weights": "random",
            "seconds": FLAGS.seconds,
            "psi_bytes": people[0].nbytes,
            "landmark_bytes": landmarks[0].nbytes,
            "cases": {", ".join(map(str, case)): values for case, values in figures.items()},
            "fps_by_direct": ratios(figures, persons),
        }
    )


if __name__ == "__main__":
    program.run(main, define_flags)
