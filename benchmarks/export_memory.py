"""Memory and time of an export and of serving it: `python -m benchmarks.export_memory`.

Each step in a process of its own: exporting the generator (random weights), loading it as a server
does (session-based loader) and drawing frames by `animate`, the same for the embedder. The last
line is JSON: GiB at most (`peak_gib`), GiB in the end, MiB on disk, seconds.
"""

import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import flags

from benchmarks.measuring.child import run_in_child
from benchmarks.measuring.memory import peak_gib, resident_mib
from benchmarks.measuring.result import result, rounded
from benchmarks.measuring.turns import seconds_of
from tf_talking import program
from tf_talking.config import PRESETS, get_preset

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Config of the networks.")


def export(folder: pathlib.Path, preset: str, model: str) -> None:
    """Writes the version folder of a generator or an embedder with random weights."""
    # Not above: a process that serves does not import them.
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

    from serving.server.heap import release_free_memory
    from serving.server.models.loader import play_warmup
    from serving.server.models.servable import Servable

    servable = Servable(model, 1, str(folder / model), tf.compat.v1.ConfigProto())
    play_warmup(servable, str(folder / model))
    release_free_memory()


def measured(function, *arguments) -> dict[str, float]:
    """Runs in a process of its own."""
    seconds = seconds_of(lambda: function(*arguments))
    return {"seconds": seconds, "peak_gib": peak_gib(), "end_gib": resident_mib() / 1024}


def size_mib(folder: pathlib.Path) -> float:
    """Of all files in a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 2**20


def main(argv):
    figures = {"preset": FLAGS.preset}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for model in ("generator", "embedder"):
            for function in (export, serve):
                values = run_in_child(measured, function, folder, FLAGS.preset, model)
                figures[f"{function.__name__}_{model}"] = values
                print(model, function.__name__, rounded(values), flush=True)
            figures[f"{model}_mib"] = size_mib(folder / model)
    return result(figures)


if __name__ == "__main__":
    program.run(main, define_flags)
