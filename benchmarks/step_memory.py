"""Memory of a training step beside the estimate of `training.plan.run_plan`.

    python -m benchmarks.step_memory --preset tiny [--content random] [--override train.k_shot=2]

The step runs in a child process: its largest resident size after two steps, less what the imports
took. Free memory of that much is needed. The last line is one JSON object.
"""

import json
import multiprocessing

import numpy as np
from absl import app, flags

from benchmarks.measuring.peak_memory import peak_gib
from tf_talking.config import PRESETS, get_preset, to_json
from tf_talking.config.overrides import apply_overrides, replace_losses

FLAGS = flags.FLAGS
flags.DEFINE_enum("preset", "tiny", sorted(PRESETS), "Configuration to measure.")
flags.DEFINE_multi_string("override", [], "section.field=value, e.g. train.batch_size=2.")
flags.DEFINE_enum("content", "random", ["random", "none"], "VGG19 and VGGFace, or none.")
flags.DEFINE_integer("num_videos", 1000, "M, rows of W.", lower_bound=1)


def run_steps(config_text: str, content: str, num_videos: int, answers) -> None:
    """Two steps on random episodes in a fresh process; sends (baseline, built, peak) in bytes."""
    import tensorflow as tf

    from tf_talking.config import from_json
    from tf_talking.content.networks import build_content_networks
    from training.meta.step import MetaTrainer

    tf.constant(1.0) + 1.0
    baseline = peak_gib() * 2**30
    config = from_json(config_text)
    size = config.model.image_size

    def build_content():
        if content == "none":
            return {}
        return build_content_networks("random", "vggface", "random", image_size=size)

    trainer = MetaTrainer(config, num_videos, build_content, tf.distribute.get_strategy())
    built = peak_gib() * 2**30
    generator = np.random.default_rng(0)
    batch, k_shot = config.train.batch_size, config.train.k_shot

    def points(*shape):
        return generator.uniform(0.1 * size, 0.9 * size, (*shape, 68, 2)).astype(np.float32)

    def frames(*shape):
        return generator.integers(0, 256, (*shape, size, size, 3), np.uint8)

    for _ in range(2):
        trainer.train_step(
            {
                "source_frames": tf.constant(frames(batch, k_shot)),
                "source_landmarks": tf.constant(points(batch, k_shot)),
                "target_frame": tf.constant(frames(batch)),
                "target_landmarks": tf.constant(points(batch)),
                "video_index": tf.constant(generator.integers(0, num_videos, batch), tf.int32),
            }
        )
    answers.put((baseline, built, peak_gib() * 2**30))


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    config = apply_overrides(get_preset(FLAGS.preset), FLAGS.override)
    if FLAGS.content == "none":
        config = replace_losses(config, content_vgg19=0.0, content_face=0.0, face_features="none")
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    child = context.Process(
        target=run_steps, args=(to_json(config), FLAGS.content, FLAGS.num_videos, answers)
    )
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit(f"the step ended with exit code {child.exitcode}")
    baseline, built, peak = answers.get()

    from training.plan.memory import estimate_memory

    estimate = estimate_memory(config, FLAGS.num_videos)
    print(estimate.table())
    facts = {
        "preset": FLAGS.preset,
        "image_size": config.model.image_size,
        "batch_size": config.train.batch_size,
        "k_shot": config.train.k_shot,
        "content": FLAGS.content,
        "measured_gib": round((peak - baseline) / 2**30, 3),
        "measured_before_steps_gib": round((built - baseline) / 2**30, 3),
        "estimate_gib": round(estimate.total / 2**30, 3),
        "ratio": round(estimate.total / (peak - baseline), 3),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    app.run(main)
