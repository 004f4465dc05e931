"""The paper's Table 2 on this machine: few-shot learning and inference times.

    python -m benchmarks.table2                             # paper preset; 2 of 40 epochs timed
    python -m benchmarks.table2 --measured_epochs=0 --rounds=100 --jit_compile      # on a GPU

FF (T): T frames and their landmarks → ψ. FT (T): ê_NEW, then 40 epochs of fine-tuning in batches of
8 (of T where T < 8), without making and tracing the personal model, which is stated apart. Where
only some epochs were timed, the row says so. Inference: one landmark image and ψ → one frame.
Weights and content networks are random unless flags name files: time does not depend on them. The
frames are a painted person's. Progress goes to stderr; the last line is JSON, times in seconds.
"""

import dataclasses
import gc
import json
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import flags, logging

from benchmarks.measuring.finetuning import finetuning_seconds
from benchmarks.measuring.machine import machine_line
from benchmarks.measuring.memory import peak_gib
from benchmarks.measuring.network_times import exported_calls, feed_forward_seconds, inference_seconds, keras_calls
from benchmarks.measuring.networks import random_networks
from benchmarks.measuring.people import procedural_person
from benchmarks.measuring.result import result
from tf_talking import program
from tf_talking.config import PRESETS, get_preset
from tf_talking.networks.meta_checkpoint import load_meta_learned
from tf_talking.networks.meta_learned import MetaLearned
from training import flags as content_flags
from training.pages.blocks import Table, to_markdown
from training.pages.html import number

FLAGS = flags.FLAGS
OPTIONS = ("epochs", "measured_epochs", "rounds", "jit_compile", "precision")

# Seconds on one NVIDIA P40 (appendix A.1), means of 100 measurements.
PAPER = {"ff": {1: 0.061, 8: 0.138, 32: 0.221}, "ft": {1: 43.84, 8: 85.48, 32: 258.0}, "inference": 0.139}


def define_flags() -> None:
    """Flags of this command."""
    content_flags.define_content_flags()
    FLAGS.set_default("vgg19", "random")
    FLAGS.set_default("face_weights", "random")
    flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Configuration, without --checkpoint.")
    flags.DEFINE_string("checkpoint", None, "Run folder or checkpoint prefix, with its own config.")
    flags.DEFINE_list("shots", ["1", "8", "32"], "T: numbers of frames to learn from.")
    flags.DEFINE_integer("epochs", 40, "Of fine-tuning.", lower_bound=1)
    flags.DEFINE_integer("measured_epochs", 2, "Of them that are timed, after those that trace; 0: all.", 0)
    flags.DEFINE_integer("rounds", 5, "Timed calls of FF and inference.", lower_bound=1)
    flags.DEFINE_enum(
        "precision",
        "float32",
        ["float32", "bfloat16"],
        "Of fine-tuning and of the exported generator; the rest stays float32.",
    )
    flags.DEFINE_bool("jit_compile", False, "Compile inference and the training step with XLA.")


def measure(
    learned: MetaLearned,
    content: dict,
    shots: list[int],
    epochs: int = 40,
    measured_epochs: int = 2,
    rounds: int = 5,
    jit_compile: bool = False,
    precision: str = "float32",
) -> dict:
    """All times in seconds: "ff" (T → variant → median), "inference" (variant → median), "ft".

    "ft" is T → what `finetuning_seconds` returns, whose arguments these are.
    """
    people = {count: procedural_person(learned.config, count) for count in shots}
    figures = {"ff": {}, "ft": {}}
    with tempfile.TemporaryDirectory() as folder:
        logging.info("exporting")
        variants = {
            "exported": exported_calls(pathlib.Path(folder), learned, jit_compile, precision),
            "keras": keras_calls(learned, jit_compile),
        }
        for count, person in people.items():
            figures["ff"][count] = feed_forward_seconds(variants, person, rounds)
            logging.info("FF(%d): %s s", count, figures["ff"][count])
        person = people[shots[0]]
        figures["inference"] = inference_seconds(variants, learned.config, person, rounds)
        logging.info("inference: %s s", figures["inference"])
    del variants  # what they hold would add to the peak of fine-tuning
    gc.collect()
    for count, person in people.items():
        figures["ft"][count] = finetuning_seconds(
            learned, content, person, epochs, measured_epochs, jit_compile, precision
        )
    return figures


def table(figures: dict) -> str:
    """Markdown of `measure`'s figures beside the paper's."""
    rows = []

    def add(name: str, ours: float, plain: float | None, paper: float | None, note: str = ""):
        rows.append([name, *map(number, (ours, plain, paper)), note])

    for count, seconds in figures["ff"].items():
        add(f"FF ({count})", seconds["exported"], seconds["keras"], PAPER["ff"].get(count))
    for count, row in figures["ft"].items():
        add(f"FT ({count})", row["seconds"], None, PAPER["ft"].get(count), finetuning_note(row))
    seconds = figures["inference"]
    add("inference, a frame", seconds["exported"], seconds["keras"], PAPER["inference"])
    header = ["method (T)", "ours, s", "plain Keras call, s", "paper (NVIDIA P40), s", ""]
    return to_markdown([Table(header, rows)]).rstrip()


def finetuning_note(row: dict) -> str:
    """How a time of fine-tuning was found."""
    count, epochs = row["timed_epochs"], row["epochs"]
    timed = f"{count} of {epochs}" if row["extrapolated"] else f"all {epochs}"
    return (
        f"batches of {row['batch_size']}; {timed} epochs timed; not counted: preparing "
        f"{row['prepare_seconds']:.3g} s, tracing {row['trace_seconds']:.3g} s"
    )


def report(facts: dict, figures: dict) -> str:
    """The table, a line that names the machine, and the last line, which is JSON.

    Args:
      facts: "preset", "image_size", "precision", "jit_compile", and what else the JSON shall tell.
      figures: from `measure`.
    """
    everything = result({**facts, **figures, "paper": PAPER, "peak_gib": peak_gib()})
    how = "XLA" if facts["jit_compile"] else "no XLA"
    where = (
        f"Ours: {machine_line(everything['machine'])}; {facts['preset']}, "
        f"{facts['image_size']} px, {facts['precision']}, {how}."
    )
    return f"{table(figures)}\n\n{where}\n\n{json.dumps(everything)}"


def parse_shots(texts: list[str]) -> list[int]:
    """--shots as numbers. Raises ValueError where one is not a positive whole number."""
    try:
        shots = [int(text) for text in texts]
    except ValueError:
        shots = []
    if not shots or min(shots) < 1:
        raise ValueError(f"--shots: got {','.join(texts)!r}, expected positive whole numbers")
    return shots


def read_networks() -> MetaLearned:
    """Of the checkpoint, or random ones of the preset; the config has the terms of the flags.

    Raises:
      ValueError: the checkpoint can not be read, or --preset with it.
    """
    content = content_flags.content_files()
    if not FLAGS.checkpoint:
        return random_networks(content.resolve(get_preset(FLAGS.preset)))
    if FLAGS["preset"].present:
        raise ValueError("--preset: a checkpoint has its own config; expected one of the two")
    learned = load_meta_learned(FLAGS.checkpoint, with_discriminator=True)
    return dataclasses.replace(learned, config=content.resolve(learned.config))


def main(argv):
    shots = parse_shots(FLAGS.shots)
    learned = read_networks()
    content = content_flags.content_files().build(learned.config, FLAGS.precision)
    options = {name: getattr(FLAGS, name) for name in OPTIONS}
    facts = {
        "preset": learned.config.name,
        "image_size": learned.config.model.image_size,
        "weights": learned.checkpoint,
        "content": {name: network.weights_source for name, network in content.items()},
        **options,
    }
    return report(facts, measure(learned, content, shots, **options))


if __name__ == "__main__":
    program.run(main, define_flags)
