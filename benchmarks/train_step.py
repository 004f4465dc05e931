"""The meta-training step beside the straightforward one: `python -m benchmarks.train_step`.

Reference (`reference/step.py`), our step in float32 and in bfloat16, interleaved in one process;
peak memory of each in a process of its own, the libraries' 0.6 GB included. Content networks are
random: only time counts here. Also compares the losses of the first step. The last line is JSON.

Other variants: --variants=float32,float32+recompute,bfloat16+accumulate2+recompute,float32+jit.
"""

import dataclasses

import keras
import tensorflow as tf
from absl import flags

from benchmarks.measuring.child import run_in_child
from benchmarks.measuring.memory import peak_gib
from benchmarks.measuring.people import make_batch
from benchmarks.measuring.result import result
from benchmarks.measuring.turns import largest_difference, medians, speedups, time_in_turns
from benchmarks.reference.step import ReferenceTrainer
from tf_talking import program
from tf_talking.config import PRESETS, Config, get_preset
from tf_talking.content.networks import content_networks_of
from tf_talking.layers.spectral_norm import power_iteration
from training.meta.options import StepOptions
from training.meta.step import MetaTrainer

FLAGS = flags.FLAGS
NUM_VIDEOS = 1000


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Configuration.")
    flags.DEFINE_integer("batch_size", 1, "Episodes.", lower_bound=1)
    flags.DEFINE_integer("rounds", 3, "Timed steps of each variant.", lower_bound=1)
    flags.DEFINE_list("variants", ["reference", "float32", "bfloat16"], "What to compare.")
    flags.DEFINE_bool("memory", True, "Also measure peak memory, in processes of their own.")


def make_trainer(variant: str, config: Config, content: dict) -> MetaTrainer:
    """variant: "reference", or a precision and options: "bfloat16+recompute+accumulate2"."""
    precision, *more = variant.replace("reference", "float32").split("+")
    if precision not in content:
        content[precision] = content_networks_of(config, "random", "random", precision)
    keras.utils.set_random_seed(0)
    cls = ReferenceTrainer if variant == "reference" else MetaTrainer
    parts = [int(m.removeprefix("accumulate")) for m in more if m.startswith("accumulate")]
    parts = parts[0] if parts else 1
    options = StepOptions(precision, parts, "recompute" in more, "jit" in more)
    strategy = tf.distribute.get_strategy()
    return cls(config, NUM_VIDEOS, lambda: content[precision], strategy, options)


def converge(trainer: MetaTrainer) -> None:
    """Power iterations until it makes no difference how often a step does one."""
    for network in networks_of(trainer):
        iterate = tf.function(lambda n=network: power_iteration(n, 10))
        for _ in range(20):
            iterate()


def networks_of(trainer: MetaTrainer) -> list:
    return [trainer.embedder, trainer.generator, trainer.discriminator]


def losses_of_step(trainer: MetaTrainer, batch: dict) -> dict[str, float]:
    """Does a step and waits for it."""
    metrics = {name: float(value) for name, value in trainer.train_step(batch).items()}
    return {name: value for name, value in metrics.items() if name.startswith("loss/")}


def peak_of_two_steps(variant: str, config: Config) -> float:
    """GiB; for a fresh process."""
    trainer, batch = make_trainer(variant, config, {}), make_batch(config, NUM_VIDEOS)
    for _ in range(2):
        losses_of_step(trainer, batch)
    return peak_gib()


def measure(config: Config, variants: list[str], rounds: int) -> dict:
    """Times of all variants from the same weights, and how far their losses differ."""
    content, steps, first, start = {}, {}, {}, None
    batch = make_batch(config, NUM_VIDEOS)
    for variant in variants:
        trainer = make_trainer(variant, config, content)
        if start is None:
            converge(trainer)
            start = [network.get_weights() for network in networks_of(trainer)]
        for network, weights in zip(networks_of(trainer), start, strict=True):
            network.set_weights(weights)
        first[variant] = losses_of_step(trainer, batch)
        print(f"{variant}: traced", flush=True)
        steps[variant] = lambda t=trainer: losses_of_step(t, batch)
    times = time_in_turns(steps, rounds)  # one more that does not count: the second is slow, too
    seconds = medians(times)
    figures = {"seconds": seconds, "steps_per_second": {v: 1 / s for v, s in seconds.items()}}
    if "reference" in variants:
        figures["speedup"] = speedups(times, "reference")
        figures["loss_difference"] = {
            variant: largest_difference(losses, first["reference"]) for variant, losses in first.items()
        }
    return figures


def main(argv):
    config = get_preset(FLAGS.preset)
    train = dataclasses.replace(config.train, batch_size=FLAGS.batch_size)
    config = dataclasses.replace(config, train=train)
    figures = {
        "preset": FLAGS.preset,
        "batch_size": FLAGS.batch_size,
        "k_shot": config.train.k_shot,
        **measure(config, FLAGS.variants, FLAGS.rounds),
    }
    if FLAGS.memory:
        peaks = {v: run_in_child(peak_of_two_steps, v, config) for v in FLAGS.variants}
        figures["peak_gib"] = peaks
    return result(figures)


if __name__ == "__main__":
    program.run(main, define_flags)
