"""An epoch of fine-tuning beside the straightforward one: `python -m benchmarks.finetune_step`.

`StraightforwardPersonalModel` (`reference/finetuning.py`) in float32, `PersonalModel` in float32
and in bfloat16, interleaved in one process on the frames of a painted person; also the largest
difference of the first epoch's losses from the straightforward ones. Weights and content networks
are random: only time counts here. The last line is JSON.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks.measuring.networks import random_networks
from benchmarks.measuring.people import procedural_person
from benchmarks.measuring.result import result, rounded
from benchmarks.measuring.turns import largest_difference, medians, speedups, time_in_turns
from benchmarks.reference.finetuning import StraightforwardPersonalModel
from tf_talking import program
from tf_talking.config import PRESETS, get_preset
from tf_talking.content.networks import content_networks_of
from training.finetuning.model import PersonalModel
from training.person.frames import photo_dataset

FLAGS = flags.FLAGS

VARIANTS = {
    "straightforward": (StraightforwardPersonalModel, "float32"),
    "float32": (PersonalModel, "float32"),
    "bfloat16": (PersonalModel, "bfloat16"),
}


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Configuration.")
    flags.DEFINE_list("shots", ["1", "8"], "T: numbers of frames to learn from.")
    flags.DEFINE_integer("rounds", 5, "Timed epochs of each variant.", lower_bound=1)
    flags.DEFINE_list("variants", list(VARIANTS), "Which ones; the others by the first.")


def make_models(learned) -> dict[str, PersonalModel]:
    """Variant -> a compiled model on the same networks."""
    models = {}
    embedding = np.zeros(learned.config.model.embedding_size, np.float32)
    for name in FLAGS.variants:
        model, precision = VARIANTS[name]
        content = content_networks_of(learned.config, "random", "random", precision)
        models[name] = model(learned, embedding, content, precision=precision)
        models[name].compile()
    return models


def epoch(model: PersonalModel, photos: tf.data.Dataset) -> dict[str, float]:
    """Mean values of one epoch."""
    history = model.fit(photos, verbose=0).history
    model.w.numpy()  # waits for the last update, which no logged value needs
    return {n: v[0] for n, v in history.items() if n.startswith(("loss/", "error/"))}


def measure(models: dict, learned, shots: int, rounds: int) -> dict:
    """Figures for T = `shots`."""
    person = procedural_person(learned.config, shots)
    embedding = learned.embed_person(person.frames, person.landmarks)
    batch_size = learned.config.finetune.batch_size
    first, epochs = {}, {}
    for name, model in models.items():
        model.restart(embedding)
        photos = photo_dataset(person, batch_size, 0, tf.Variable(0))
        first[name] = epoch(model, photos)
        epochs[name] = lambda m=model, p=photos: epoch(m, p)
    # One more is not counted: the second step, too, takes longer than all others.
    seconds = time_in_turns(epochs, rounds, warm_up=1)
    return {
        "epoch_seconds": medians(seconds),
        "speedup": speedups(seconds, FLAGS.variants[0]),
        "loss_difference": {
            name: largest_difference(values, first[FLAGS.variants[0]]) for name, values in first.items()
        },
    }


def main(argv):
    learned = random_networks(get_preset(FLAGS.preset))
    models = make_models(learned)
    figures = {"preset": FLAGS.preset, "rounds": FLAGS.rounds}
    for shots in map(int, FLAGS.shots):
        figures[f"T={shots}"] = measure(models, learned, shots, FLAGS.rounds)
        print(f"T = {shots}: {rounded(figures[f'T={shots}'])}", flush=True)
    return result(figures)


if __name__ == "__main__":
    program.run(main, define_flags)
