"""Times of the networks as they are: feed-forward few-shot learning, and inference.

Two variants:
    exported   `serving_default` of the SavedModels that `serving.export` writes
    keras      the straightforward networks under tf.function: spectral norm in every call,
               convolutions and resampling one after the other
Every result is converted to NumPy before the clock stops: a GPU has finished by then.
"""

import contextlib
import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_talking.config import Config
from tf_talking.dataset.records import decode_frames
from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.images import landmark_images, to_float, to_uint8
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.procedural import render as procedural
from tf_talking.procedural.samples import in_scheme
from tf_talking.served.graphs import save_embedder, save_generator
from training.person.sources import PersonFrames


@dataclasses.dataclass(frozen=True)
class Calls:
    """One variant's functions of NumPy arrays.

    Attributes:
      embed: frames uint8 [1, T, S, S, 3], landmarks float32 [1, T, P, 2] → ψ [1, L].
      draw: landmark images uint8 [1, S, S, 3], ψ [1, L] → frames uint8 [1, S, S, 3].
    """

    embed: Callable
    draw: Callable


def random_networks(config: Config) -> MetaLearned:
    """Freshly initialised networks, attention's gates open."""
    keras.utils.set_random_seed(0)
    generator = Generator(config.model, name="generator")
    for attention in generator.attentions.values():
        attention.gate.assign(0.5)
    return MetaLearned(
        config,
        "random weights",
        0,
        Embedder(config.model, name="embedder"),
        generator,
        Discriminator(config.model, num_videos=1, name="discriminator"),
    )


def procedural_person(config: Config, num_frames: int) -> PersonFrames:
    """T frames of a painted person who talks."""
    record = procedural.render_video(0, num_frames, config.model.image_size)
    landmarks = np.stack([in_scheme(points, config) for points in record.landmarks])
    return PersonFrames(decode_frames(record, range(num_frames)), landmarks, "procedural")


def exported_calls(
    folder: pathlib.Path, learned: MetaLearned, jit_compile: bool, dtype: str = "float32"
) -> Calls:
    """Writes the SavedModels into `folder`, for the device at hand, and reads them again.

    `dtype` is the generator's; an exported embedder is float32.
    """
    device = "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
    config, generator = learned.config, learned.generator
    save_embedder(folder / "embedder", config, learned.embedder, generator, device)
    save_generator(folder / "generator", config, generator, device=device, dtype=dtype)

    def load(name: str, inputs: tuple[str, str], output: str) -> Callable:
        model = tf.saved_model.load(str(folder / name))
        signature = model.signatures["serving_default"]

        @tf.function(jit_compile=jit_compile or None, autograph=False)
        def call(*tensors):
            return signature(**dict(zip(inputs, tensors, strict=True)))[output]

        call.model = model  # a signature does not keep its model alive
        return lambda *arrays: call(*map(tf.constant, arrays)).numpy()

    return Calls(
        load("embedder", ("frames", "landmarks"), "adain_params"),
        load("generator", ("landmark_images", "adain_params"), "frames"),
    )


def keras_calls(learned: MetaLearned, jit_compile: bool) -> Calls:
    """The straightforward networks."""
    config, embedder, generator = learned.config, learned.embedder, learned.generator

    @tf.function(jit_compile=jit_compile or None, autograph=False)
    def embed(frames, landmarks):
        with _unfolded(embedder):
            embedding = embedder.embed(to_float(frames), landmark_images(config, landmarks))
        return generator.project(embedding)

    @tf.function(jit_compile=jit_compile or None, autograph=False)
    def draw(images, adain_params):
        with _unfolded(generator):
            return to_uint8(generator(to_float(images), adain_params, training=False))

    return Calls(
        lambda *arrays: embed(*map(tf.constant, arrays)).numpy(),
        lambda *arrays: draw(*map(tf.constant, arrays)).numpy(),
    )


@contextlib.contextmanager
def _unfolded(network):
    """While a function is traced: convolution and resampling one after the other."""
    layers = [layer for layer in network.submodules if hasattr(layer, "fold")]
    before = [layer.fold for layer in layers]
    for layer in layers:
        layer.fold = False
    try:
        yield
    finally:
        for layer, fold in zip(layers, before, strict=True):
            layer.fold = fold


def feed_forward_seconds(
    variants: Mapping[str, Calls], person: PersonFrames, rounds: int
) -> dict[str, float]:
    """Median seconds from T frames and landmarks to ψ, by variant."""
    arrays = person.frames[np.newaxis], person.landmarks[np.newaxis]
    return _medians({n: lambda c=c: c.embed(*arrays) for n, c in variants.items()}, rounds)


def inference_seconds(
    variants: Mapping[str, Calls], config: Config, person: PersonFrames, rounds: int
) -> dict[str, float]:
    """Median seconds from one landmark image and ψ to one frame, by variant."""
    drawn = to_uint8(landmark_images(config, tf.constant(person.landmarks[:1]))).numpy()
    frames, landmarks = person.frames[np.newaxis], person.landmarks[np.newaxis]
    psi = next(iter(variants.values())).embed(frames, landmarks)
    return _medians({n: lambda c=c: c.draw(drawn, psi) for n, c in variants.items()}, rounds)


def _medians(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Of `rounds` calls of each, in turns, after two that trace and warm up."""
    for call in calls.values():
        call()
        call()
    seconds = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(_seconds_of(call))
    return {name: statistics.median(values) for name, values in seconds.items()}


def _seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
