"""The meta-training step beside the straightforward one: `python -m benchmarks.train_step`.

Reference (`reference_step.py`), our step in float32 and in bfloat16, interleaved in one process;
peak memory of each in a process of its own, the libraries' 0.6 GB included. Content networks are
random: only time counts here. Also compares the losses of the first step. The last line is JSON.

Other variants: --variants=float32,float32+recompute,bfloat16+accumulate2+recompute,float32+jit.
"""

import dataclasses
import json
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from benchmarks.measuring.peak_memory import peak_gib
from benchmarks.measuring.procedural_batch import make_batch
from benchmarks.reference.step import ReferenceTrainer
from tf_talking.config import PRESETS, get_preset
from tf_talking.content.networks import content_networks_of
from tf_talking.layers.spectral_norm import power_iteration
from training.meta.options import StepOptions
from training.meta.step import MetaTrainer

FLAGS = flags.FLAGS
flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Configuration.")
flags.DEFINE_integer("batch_size", 1, "Episodes.", lower_bound=1)
flags.DEFINE_integer("rounds", 3, "Timed steps of each variant.", lower_bound=1)
flags.DEFINE_list("variants", ["reference", "float32", "bfloat16"], "What to compare.")
flags.DEFINE_bool("memory", True, "Also measure peak memory, in processes of their own.")
flags.DEFINE_string("measure", None, "Internal: run one variant and print its peak memory.")

NUM_VIDEOS = 1000


def make_trainer(variant: str, content: dict):
    """variant: "reference", or a precision and options: "bfloat16+recompute+accumulate2"."""
    config = get_preset(FLAGS.preset)
    train = dataclasses.replace(config.train, batch_size=FLAGS.batch_size)
    config = dataclasses.replace(config, train=train)
    precision, *more = variant.replace("reference", "float32").split("+")
    if precision not in content:
        content[precision] = content_networks_of(config, "random", "random", precision)
    keras.utils.set_random_seed(0)
    cls = ReferenceTrainer if variant == "reference" else MetaTrainer
    parts = [int(m.removeprefix("accumulate")) for m in more if m.startswith("accumulate")]
    parts = parts[0] if parts else 1
    options = StepOptions(precision, parts, "recompute" in more, "jit" in more)
    trainer = cls(
        config, NUM_VIDEOS, lambda: content[precision], tf.distribute.get_strategy(), options
    )
    return trainer, config


def converge(trainer) -> None:
    """Power iterations until it makes no difference how often a step does one."""
    for network in networks_of(trainer):
        iterate = tf.function(lambda n=network: power_iteration(n, 10))
        for _ in range(20):
            iterate()


def networks_of(trainer) -> list:
    return [trainer.embedder, trainer.generator, trainer.discriminator]


def largest_difference(ours: dict, theirs: dict) -> float:
    """Relative, over the losses that both report."""
    names = [n for n in theirs if n.startswith("loss/") and n in ours]
    return max(abs(float(ours[n]) - float(theirs[n])) / abs(float(theirs[n])) for n in names)


def timed_step(trainer, batch) -> tuple[float, dict]:
    start = time.perf_counter()
    metrics = trainer.train_step(batch)
    metrics = {name: float(metrics[name]) for name in metrics}
    return time.perf_counter() - start, metrics


def peak_memory(variant: str) -> float:
    """GiB, of a fresh process that does two steps."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.train_step",
        f"--measure={variant}",
        f"--preset={FLAGS.preset}",
        f"--batch_size={FLAGS.batch_size}",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])["peak_gib"]


def measure_memory(variant: str) -> None:
    trainer, config = make_trainer(variant, {})
    batch = make_batch(config, NUM_VIDEOS)
    for _ in range(2):
        timed_step(trainer, batch)
    print(json.dumps({"variant": variant, "peak_gib": round(peak_gib(), 3)}))


def main(_):
    logging.set_verbosity(logging.ERROR)
    if FLAGS.measure:
        return measure_memory(FLAGS.measure)
    content, trainers, first, start = {}, {}, {}, None
    for variant in FLAGS.variants:
        trainer, config = make_trainer(variant, content)
        if start is None:
            converge(trainer)
            start = [network.get_weights() for network in networks_of(trainer)]
        for network, weights in zip(networks_of(trainer), start, strict=True):
            network.set_weights(weights)
        batch = make_batch(config, NUM_VIDEOS)
        seconds, first[variant] = timed_step(trainer, batch)
        print(f"{variant}: tracing and first step {seconds:.1f} s", flush=True)
        trainers[variant] = trainer
    times = {variant: [] for variant in trainers}
    for _ in range(FLAGS.rounds):
        for variant, trainer in trainers.items():
            times[variant].append(timed_step(trainer, batch)[0])
    seconds = {variant: float(np.median(t)) for variant, t in times.items()}
    figures = {
        "preset": FLAGS.preset,
        "batch_size": FLAGS.batch_size,
        "k_shot": config.train.k_shot,
        "seconds": {v: round(s, 3) for v, s in seconds.items()},
        "steps_per_second": {v: round(1 / s, 3) for v, s in seconds.items()},
    }
    if "reference" in trainers:
        figures["speedup"] = {
            v: round(float(np.median(np.array(times["reference"]) / np.array(t))), 2)
            for v, t in times.items()
        }
        figures["loss_difference"] = {
            v: float(f"{largest_difference(m, first['reference']):.1e}") for v, m in first.items()
        }
    del trainers, trainer
    if FLAGS.memory:
        figures["peak_gib"] = {v: peak_memory(v) for v in FLAGS.variants}
    print(json.dumps(figures))


if __name__ == "__main__":
    app.run(main)
