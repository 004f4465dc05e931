"""Many people in one batch beside one person in all of it: `python -m benchmarks.mixed_people`.

An exported generator (untrained unless --generator names a version folder: only time counts here)
draws a batch of --people rows, once with as many people's ψ, once with one person's in every row;
interleaved, in turn first and second. Both signatures. The last line is JSON: medians, and the
median of the ratios of neighbours.
"""

import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks.measuring.memory import peak_gib
from benchmarks.measuring.networks import random_generator, random_psi
from benchmarks.measuring.result import result, rounded
from benchmarks.measuring.turns import medians, speedups, time_in_turns
from tf_talking import program
from tf_talking.config import PRESETS, get_preset
from tf_talking.networks.images import landmark_images, to_uint8
from tf_talking.procedural import render as procedural
from tf_talking.served.graphs import read_metadata, save_generator

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Configuration.")
    flags.DEFINE_string("generator", None, "Version folder of an exported generator of it.")
    flags.DEFINE_integer("people", 16, "Rows of the batch.", lower_bound=2)
    flags.DEFINE_integer("rounds", 8, "Timed pairs of each signature.", lower_bound=1)


def load_generator(config):
    """The SavedModel of --generator, or of fresh weights."""
    if FLAGS.generator:
        facts = read_metadata(FLAGS.generator)
        if facts.get("adain_size") != config.model.adain_size:
            raise ValueError(f"--generator: not of --preset {FLAGS.preset}, see {facts}")
        return tf.saved_model.load(FLAGS.generator)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "1"
        save_generator(path, config, random_generator(config))
        keras.backend.clear_session()
        return tf.saved_model.load(str(path))


def make_requests(config) -> dict[str, dict]:
    """Signature -> the request but ψ: as many rows as people, each another pose."""
    size = config.model.image_size
    landmarks = tf.constant(procedural.render_video(0, FLAGS.people, size).landmarks)
    drawn = to_uint8(landmark_images(config, landmarks))
    return {"animate": {"landmarks": landmarks}, "serving_default": {"landmark_images": drawn}}


def measure(signature, request: dict, people: dict) -> dict[str, float]:
    """Milliseconds of each, and how much longer many people take."""

    def call(psi) -> None:
        next(iter(signature(**request, adain_params=psi).values())).numpy()

    calls = {who: lambda p=psi: call(p) for who, psi in people.items()}
    seconds = time_in_turns(calls, FLAGS.rounds, alternate=True)
    milliseconds = {f"{who}_ms": value for who, value in medians(seconds, 1e3).items()}
    return milliseconds | {"ratio": speedups(seconds, "mixed")["one"]}


def main(argv):
    config = get_preset(FLAGS.preset)
    psi = random_psi(config, FLAGS.people)
    people = {"mixed": tf.constant(psi), "one": tf.constant(np.repeat(psi[:1], len(psi), axis=0))}
    model = load_generator(config)
    figures = {"preset": FLAGS.preset, "people": FLAGS.people, "rounds": FLAGS.rounds}
    for name, request in make_requests(config).items():
        figures[name] = measure(model.signatures[name], request, people)
        print(f"{name}: {rounded(figures[name])}", flush=True)
    return result({**figures, "peak_gib": peak_gib()})


if __name__ == "__main__":
    program.run(main, define_flags)
