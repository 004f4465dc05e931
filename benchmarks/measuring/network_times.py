"""Times of the networks as they are: feed-forward few-shot learning, and inference.

Two variants:
    exported   `serving_default` of the SavedModels that `serving.export` writes
    keras      the straightforward networks under tf.function: spectral norm in every call,
               convolutions and resampling one after the other
Every result is converted to NumPy before the clock stops: a GPU has finished by then.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from benchmarks.measuring.networks import unfolded
from benchmarks.measuring.turns import medians, time_in_turns
from tf_talking.config import Config
from tf_talking.networks.images import landmark_images, to_float, to_uint8
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.served.graphs import save_embedder, save_generator
from training.person.frames import PersonFrames


@dataclasses.dataclass(frozen=True)
class Calls:
    """One variant's functions of NumPy arrays.

    Attributes:
      embed: frames uint8 [1, T, S, S, 3], landmarks float32 [1, T, P, 2] → ψ [1, L].
      draw: landmark images uint8 [1, S, S, 3], ψ [1, L] → frames uint8 [1, S, S, 3].
    """

    embed: Callable
    draw: Callable


def exported_calls(folder: pathlib.Path, learned: MetaLearned, jit_compile: bool, dtype: str = "float32") -> Calls:
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
        with unfolded(embedder):
            embedding = embedder.embed(to_float(frames), landmark_images(config, landmarks))
        return generator.project(embedding)

    @tf.function(jit_compile=jit_compile or None, autograph=False)
    def draw(images, adain_params):
        with unfolded(generator):
            return to_uint8(generator(to_float(images), adain_params, training=False))

    return Calls(
        lambda *arrays: embed(*map(tf.constant, arrays)).numpy(),
        lambda *arrays: draw(*map(tf.constant, arrays)).numpy(),
    )


def feed_forward_seconds(variants: Mapping[str, Calls], person: PersonFrames, rounds: int) -> dict[str, float]:
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
    return medians(time_in_turns(calls, rounds, warm_up=2))
