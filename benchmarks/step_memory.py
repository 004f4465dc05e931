"""Memory of a training step beside the estimate of `training.plan.run_plan`.

    python -m benchmarks.step_memory --preset tiny [--content random] [--override train.k_shot=2]

The step runs in a child process: its largest resident size after two steps, less what the imports
took. Free memory of that much is needed. The last line is JSON.
"""

import tensorflow as tf
from absl import flags

from benchmarks.measuring.child import run_in_child
from benchmarks.measuring.memory import peak_gib
from benchmarks.measuring.networks import without_content
from benchmarks.measuring.people import make_batch
from benchmarks.measuring.result import result
from tf_talking import program
from tf_talking.config import PRESETS, Config, get_preset
from tf_talking.config.overrides import apply_overrides
from tf_talking.content.networks import content_networks_of
from training.meta.step import MetaTrainer
from training.plan.memory import estimate_memory

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_enum("preset", "tiny", sorted(PRESETS), "Configuration to measure.")
    flags.DEFINE_multi_string("override", [], "section.field=value, e.g. train.batch_size=2.")
    flags.DEFINE_enum("content", "random", ["random", "none"], "VGG19 and VGGFace, or none.")
    flags.DEFINE_integer("num_videos", 1000, "M, rows of W.", lower_bound=1)


def two_steps(config: Config, num_videos: int) -> tuple[float, float]:
    """GiB after the networks were made, and at most; for a fresh process."""
    tf.constant(1.0) + 1.0
    baseline = peak_gib()
    strategy = tf.distribute.get_strategy()
    trainer = MetaTrainer(config, num_videos, lambda: content_networks_of(config, "random", "random"), strategy)
    built = peak_gib()
    batch = make_batch(config, num_videos)
    for _ in range(2):
        trainer.train_step(batch)
    return built - baseline, peak_gib() - baseline


def main(argv):
    config = apply_overrides(get_preset(FLAGS.preset), FLAGS.override)
    if FLAGS.content == "none":
        config = without_content(config)
    built, peak = run_in_child(two_steps, config, FLAGS.num_videos)
    estimate = estimate_memory(config, FLAGS.num_videos)
    print(estimate.table())
    return result(
        {
            "preset": FLAGS.preset,
            "image_size": config.model.image_size,
            "batch_size": config.train.batch_size,
            "k_shot": config.train.k_shot,
            "content": FLAGS.content,
            "measured_gib": peak,
            "measured_before_steps_gib": built,
            "estimate_gib": estimate.total / 2**30,
            "ratio": estimate.total / 2**30 / peak,
        }
    )


if __name__ == "__main__":
    program.run(main, define_flags)
