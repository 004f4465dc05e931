"""An epoch of fine-tuning beside the straightforward one: `python -m benchmarks.finetune_step`.

`StraightforwardPersonalModel` (`reference_finetuning.py`) in float32, `PersonalModel` in float32
and in bfloat16, interleaved in one process on the frames of a painted person; also the largest
difference of the first epoch's losses from the straightforward ones. Weights and content networks
are random: only time counts here. The last line is JSON.
"""

import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.measuring.machine import describe_machine
from benchmarks.measuring.network_times import procedural_person, random_networks
from benchmarks.reference.finetuning import StraightforwardPersonalModel
from tf_talking.config import PRESETS, get_preset
from tf_talking.content.networks import content_networks_of
from training.finetuning.model import PersonalModel
from training.person.sources import photo_dataset

FLAGS = flags.FLAGS
flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Configuration.")
flags.DEFINE_list("shots", ["1", "8"], "T: numbers of frames to learn from.")
flags.DEFINE_integer("rounds", 5, "Timed epochs of each variant.", lower_bound=1)

VARIANTS = {
    "straightforward": (StraightforwardPersonalModel, "float32"),
    "float32": (PersonalModel, "float32"),
    "bfloat16": (PersonalModel, "bfloat16"),
}
_WARM_UP = 2  # epochs: the second step, too, takes longer than all others


def make_models(config, learned) -> dict[str, PersonalModel]:
    """Variant → a compiled model on the same networks."""
    models = {}
    for name, (model, precision) in VARIANTS.items():
        content = content_networks_of(config, "random", "random", precision)
        embedding = np.zeros(config.model.embedding_size, np.float32)
        models[name] = model(learned, embedding, content, precision=precision)
        models[name].compile()
    return models


def timed_epoch(model: PersonalModel, photos: tf.data.Dataset) -> tuple[float, dict]:
    """(seconds, mean values) of one epoch."""
    start = time.perf_counter()
    history = model.fit(photos, verbose=0).history
    model.w.numpy()  # waits for the last update, which no logged value needs
    return time.perf_counter() - start, {name: values[0] for name, values in history.items()}


def largest_difference(ours: dict, theirs: dict) -> float:
    """Relative, over the losses that both report."""
    names = [n for n in theirs if n.startswith(("loss/", "error/")) and n in ours]
    return max(abs(ours[n] - theirs[n]) / abs(theirs[n]) for n in names)


def measure(models: dict, learned, config, shots: int, rounds: int) -> dict:
    """Figures for T = `shots`."""
    person = procedural_person(config, shots)
    embedding = learned.embed_person(person.frames, person.landmarks)
    photos, first, times = {}, {}, {name: [] for name in models}
    for name, model in models.items():
        model.restart(embedding)
        photos[name] = photo_dataset(person, config.finetune.batch_size, 0, tf.Variable(0))
        first[name] = timed_epoch(model, photos[name])[1]
        for _ in range(_WARM_UP - 1):
            timed_epoch(model, photos[name])
    for _ in range(rounds):
        for name, model in models.items():
            times[name].append(timed_epoch(model, photos[name])[0])
    reference = np.array(times["straightforward"])
    return {
        "epoch_seconds": {n: round(float(np.median(t)), 4) for n, t in times.items()},
        "speedup": {n: round(float(np.median(reference / t)), 2) for n, t in times.items()},
        "loss_difference": {
            name: float(f"{largest_difference(values, first['straightforward']):.1e}")
            for name, values in first.items()
        },
    }


def main(_):
    config = get_preset(FLAGS.preset)
    learned = random_networks(config)
    models = make_models(config, learned)
    figures = {"preset": FLAGS.preset, "rounds": FLAGS.rounds}
    for shots in map(int, FLAGS.shots):
        figures[f"T={shots}"] = measure(models, learned, config, shots, FLAGS.rounds)
        print(f"T = {shots}: {figures[f'T={shots}']}", flush=True)
    print(json.dumps({**figures, "machine": describe_machine()}))


if __name__ == "__main__":
    app.run(main)
