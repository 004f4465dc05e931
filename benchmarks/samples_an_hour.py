"""What each part of a meta-training step costs: episodes an hour with one thing changed at a time:

    python -m benchmarks.samples_an_hour --face_weights casia.keras

The preset as it is, and without VGG19, without the recogniser in the loss, with D at rest, with one
source frame, with half the batch, and at half the size; in turns, in one process. VGG19 has random
weights: only time counts. The last line is JSON.
"""

import keras
import tensorflow as tf
from absl import flags

from benchmarks.measuring.people import make_batch
from benchmarks.measuring.result import result
from benchmarks.measuring.turns import medians, time_in_turns
from tf_talking import program
from tf_talking.config import PRESETS, get_preset
from tf_talking.config.overrides import apply_overrides
from tf_talking.content.networks import content_networks_of
from training.meta.options import PRECISIONS, StepOptions
from training.meta.step import MetaTrainer
from training.updates.precision import AUTO, choose_precision

FLAGS = flags.FLAGS
NUM_VIDEOS = 6000


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_enum("preset", "real128", sorted(PRESETS), "Configuration.")
    flags.DEFINE_string("face_weights", None, "The recogniser of the loss, .keras; without it that term is left out.")
    flags.DEFINE_integer("rounds", 5, "Timed steps of each choice.", lower_bound=1)
    flags.DEFINE_enum("mixed_precision", None, (AUTO, *PRECISIONS), "As training.meta_train takes it.")


def choices() -> dict[str, list[str]]:
    """Name → overrides of the preset."""
    model, train = get_preset(FLAGS.preset).model, get_preset(FLAGS.preset).train
    half = {name: getattr(model, name) // 2 for name in ("image_size", "embedder_bottleneck", "generator_bottleneck")}
    no_face = ["losses.content_face=0.0", "losses.content_identity=0.0"]
    found = {
        "as it is": [],
        "without VGG19": ["losses.content_vgg19=0.0"],
        "without the recogniser": no_face,
        "D at rest": ["losses.adversarial=0.0", "losses.feature_matching=0.0"],
        "one source frame": ["train.k_shot=1"],
        "half the batch": [f"train.batch_size={train.batch_size // 2}"],
        "half the size": [f"model.{name}={value}" for name, value in half.items()],
    }
    if FLAGS.face_weights:
        return found
    del found["without the recogniser"]
    return {name: [*overrides, *no_face] for name, overrides in found.items()}


def make_step(overrides: list[str], precision: str):
    """(a function that does a step and waits for it, episodes of a step)."""
    config = apply_overrides(get_preset(FLAGS.preset), overrides)
    keras.utils.set_random_seed(0)
    trainer = MetaTrainer(
        config,
        NUM_VIDEOS,
        lambda: content_networks_of(config, "random", FLAGS.face_weights, precision),
        tf.distribute.get_strategy(),
        StepOptions(precision),
    )
    if not (config.losses.adversarial or config.losses.feature_matching):
        trainer.adversarial.adversarial = False
    batch = make_batch(config, NUM_VIDEOS)
    return lambda: float(trainer.train_step(batch)["loss/generator"]), config.train.batch_size


def main(argv: list[str]) -> dict:
    del argv
    tf.config.optimizer.set_experimental_options({"remapping": False})  # as meta_train on a CPU
    precision = choose_precision(FLAGS.mixed_precision, get_preset(FLAGS.preset))
    steps, episodes = {}, {}
    for name, overrides in choices().items():
        steps[name], episodes[name] = make_step(overrides, precision)
        steps[name]()
        print(f"{name}: traced", flush=True)
    seconds = medians(time_in_turns(steps, FLAGS.rounds))
    an_hour = {name: 3600 * episodes[name] / seconds[name] for name in steps}
    for name, count in an_hour.items():
        print(f"{name:24} {seconds[name]:.3f} s a step, {count:,.0f} episodes an hour")
    return result({"preset": FLAGS.preset, "precision": precision, "seconds": seconds, "episodes_an_hour": an_hour})


if __name__ == "__main__":
    program.run(main, define_flags)
