"""What `benchmarks.generator` compares: random networks, their SavedModels and ONNX files."""

import pathlib

import numpy as np
import tensorflow as tf

from benchmarks.measuring.networks import random_generator, random_psi, unfold
from tf_talking.config import get_preset
from tf_talking.cpu import multiplies_bfloat16
from tf_talking.networks.generator import Generator
from tf_talking.networks.images import landmark_images, to_float, to_uint8
from tf_talking.procedural.samples import sample_landmarks
from tf_talking.served.frozen import FrozenGenerator
from tf_talking.served.graphs import save_generator


def inputs(preset: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Landmark images uint8 [B, S, S, 3] and ψ float32 [B, L]."""
    config = get_preset(preset)
    drawn = to_uint8(landmark_images(config, sample_landmarks(config, batch))).numpy()
    return drawn, random_psi(config, batch)


def make_generator(preset: str) -> Generator:
    """The straightforward network with random weights, gates open."""
    generator = random_generator(get_preset(preset))
    unfold(generator)
    return generator


def write_graphs(folder: pathlib.Path, preset: str, batch: int) -> dict[str, float]:
    """SavedModels and ONNX files in `folder`. Returns giga multiply-adds a frame by graph."""
    import tf2onnx  # takes seconds, and only this process needs it

    config, generator = get_preset(preset), make_generator(preset)
    for dtype in ("float32", "bfloat16") if multiplies_bfloat16() else ("float32",):
        save_generator(folder / f"exported_{dtype}", config, generator, dtype=dtype)
    size = config.model.image_size
    specs = [
        tf.TensorSpec([batch, size, size, 3], tf.uint8, name="landmark_images"),
        tf.TensorSpec([batch, config.model.adain_size], tf.float32, name="adain_params"),
    ]
    # Without Winograd and with statistics that ONNX has operations for, as the GPU rule has it.
    networks = {"straightforward": generator, "merged": FrozenGenerator(generator, "gpu")}
    counts = {}
    for name, network in networks.items():
        function = tf.function(lambda x, psi, network=network: to_uint8(network(to_float(x), psi)), autograph=False)
        path = str(folder / f"{name}.onnx")
        tf2onnx.convert.from_function(function, specs, opset=17, output_path=path)
    exported = {
        name: FrozenGenerator(generator, dtype=dtype)
        for name, dtype in (("exported", "float32"), ("exported_bf16", "bfloat16"))
    }
    for name, network in {"keras": generator, **exported}.items():
        function = tf.function(network, autograph=False)
        one = [tf.TensorSpec([1, size, size, 3]), tf.TensorSpec([1, config.model.adain_size])]
        counts[name] = multiply_adds(function.get_concrete_function(*one).graph) / 1e9
    return counts


def multiply_adds(graph) -> int:
    """Of the convolutions and matrix products of a graph with known shapes."""
    total = 0
    for op in graph.get_operations():
        shapes = [tensor.shape.as_list() for tensor in op.inputs]
        if op.type == "Conv2D":
            height, width, channels_in, channels_out = shapes[1]
            rows, columns = op.outputs[0].shape[1:3]
            total += rows * columns * height * width * channels_in * channels_out
        elif op.type == "Conv2DBackpropInput":
            height, width, channels_out, channels_in = shapes[1]
            rows, columns = shapes[2][1:3]
            total += rows * columns * height * width * channels_in * channels_out
        elif op.type == "BatchMatMulV2":
            total += int(np.prod(op.outputs[0].shape)) * shapes[0][-1]
    return total
