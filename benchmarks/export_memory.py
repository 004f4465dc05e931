"""Memory and time of an export and of serving it: `python -m benchmarks.export_memory`.

Each step in a process of its own: exporting the generator (random weights), loading it as a server
does (session-based loader) and drawing frames by `animate`, the same for the embedder. The last
line is JSON: GiB at most (`peak_gib`), GiB in the end, MiB on disk, seconds.
"""

import json
import multiprocessing
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from benchmarks.attacks.server import resident_mib
from benchmarks.measuring.peak_memory import peak_gib

FLAGS = flags.FLAGS


def export(folder: pathlib.Path, preset: str, model: str) -> None:
    """Writes the version folder of a generator or an embedder with random weights."""
    from tf_talking.config import get_preset
    from tf_talking.networks.embedder import Embedder
    from tf_talking.networks.generator import Generator
    from tf_talking.served.graphs import save_embedder, save_generator

    config = get_preset(preset)
    generator = Generator(config.model)
    if model == "generator":
        save_generator(folder / model, config, generator)
    else:
        save_embedder(folder / model, config, Embedder(config.model), generator)


def serve(folder: pathlib.Path, preset: str, model: str) -> None:
    """Loads a version in a session and plays its warm-up requests."""
    import tensorflow as tf

    from serving.server.models import warmup
    from serving.server.models.memory import release_free_memory
    from serving.server.models.servable import Servable

    servable = Servable(model, 1, str(folder / model), tf.compat.v1.ConfigProto())
    warmup.play(servable, str(folder / model))
    release_free_memory()


def step(function, queue, *arguments) -> None:
    """Runs in a process of its own."""
    start = time.perf_counter()
    function(*arguments)
    queue.put(
        {
            "seconds": round(time.perf_counter() - start, 1),
            "peak_gib": round(peak_gib(), 2),
            "end_gib": round(resident_mib(os.getpid()) / 1024, 2),
        }
    )


def size_mib(folder: pathlib.Path) -> float:
    """Of all files in a folder."""
    return round(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 2**20, 1)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    context = multiprocessing.get_context("spawn")
    results = {"preset": FLAGS.preset}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for model in ("generator", "embedder"):
            for function in (export, serve):
                queue = context.Queue()
                arguments = (function, queue, folder, FLAGS.preset, model)
                process = context.Process(target=step, args=arguments)
                process.start()
                process.join()
                if process.exitcode:
                    raise RuntimeError(f"{function.__name__} of the {model} failed")
                results[f"{function.__name__}_{model}"] = queue.get()
                print(model, function.__name__, results[f"{function.__name__}_{model}"], flush=True)
            results[f"{model}_mib"] = size_mib(folder / model)
    print(json.dumps(results))


if __name__ == "__main__":
    flags.DEFINE_string("preset", "paper", "Config of the networks.")
    app.run(main)
