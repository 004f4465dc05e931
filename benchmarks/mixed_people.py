"""Many people in one batch beside one person in all of it: `python -m benchmarks.mixed_people`.

An exported generator (untrained unless --generator names a version folder: only time counts here)
draws a batch of --people rows, once with as many people's ψ, once with one person's in every row;
interleaved, in turn first and second. Both signatures. The last line is JSON: medians, and the
median of the ratios of neighbours.
"""

import json
import pathlib
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.measuring.peak_memory import peak_gib
from tf_talking.config import PRESETS, get_preset
from tf_talking.networks.generator import Generator, neutral_adain_params
from tf_talking.networks.images import landmark_images, to_uint8
from tf_talking.procedural import render as procedural
from tf_talking.served.graphs import read_metadata, save_generator

FLAGS = flags.FLAGS
flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Configuration.")
flags.DEFINE_string("generator", None, "Version folder of an exported generator of that preset.")
flags.DEFINE_integer("people", 16, "Rows of the batch.", lower_bound=2)
flags.DEFINE_integer("rounds", 8, "Timed pairs of each signature.", lower_bound=1)


def load_generator(config):
    """The SavedModel of --generator, or of fresh weights."""
    if FLAGS.generator:
        facts = read_metadata(FLAGS.generator)
        if facts.get("adain_size") != config.model.adain_size:
            raise app.UsageError(f"--generator: not of --preset {FLAGS.preset}, see {facts}")
        return tf.saved_model.load(FLAGS.generator)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "1"
        keras.utils.set_random_seed(0)
        save_generator(path, config, Generator(config.model))
        keras.backend.clear_session()
        return tf.saved_model.load(str(path))


def make_requests(config) -> dict[str, dict]:
    """Signature → the request but ψ: as many rows as people, each another pose."""
    size = config.model.image_size
    landmarks = tf.constant(procedural.render_video(0, FLAGS.people, size).landmarks)
    drawn = to_uint8(landmark_images(config, landmarks))
    return {"animate": {"landmarks": landmarks}, "serving_default": {"landmark_images": drawn}}


def make_people(config) -> dict[str, tf.Tensor]:
    """ψ [people, L] of everybody, and of the first person in every row."""
    neutral = neutral_adain_params(config.model)
    noise = np.random.default_rng(0).normal(0.0, 0.1, (FLAGS.people, len(neutral)))
    mixed = (neutral + noise).astype(np.float32)
    return {"mixed": tf.constant(mixed), "one": tf.constant(np.tile(mixed[:1], (len(mixed), 1)))}


def measure(signature, request: dict, people: dict) -> dict[str, list[float]]:
    """Seconds of each call; who goes first changes every round."""
    times = {who: [] for who in people}
    for turn in range(-1, FLAGS.rounds):  # the first round is not counted
        for who in sorted(people, reverse=bool(turn % 2)):
            start = time.perf_counter()
            result = signature(**request, adain_params=people[who])
            next(iter(result.values())).numpy()
            if turn >= 0:
                times[who].append(time.perf_counter() - start)
    return times


def main(_):
    config = get_preset(FLAGS.preset)
    model, people = load_generator(config), make_people(config)
    figures = {"preset": FLAGS.preset, "people": FLAGS.people, "rounds": FLAGS.rounds}
    for name, request in make_requests(config).items():
        times = measure(model.signatures[name], request, people)
        ratio = float(np.median(np.array(times["mixed"]) / np.array(times["one"])))
        figures[name] = {f"{who}_ms": round(1e3 * float(np.median(times[who])), 2) for who in times}
        figures[name]["ratio"] = round(ratio, 3)
        print(f"{name}: {figures[name]}", flush=True)
    figures["peak_gib"] = round(peak_gib(), 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    app.run(main)
