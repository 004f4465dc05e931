"""What `benchmarks.generator` compares: random networks, their SavedModels and ONNX files."""

import pathlib

import numpy as np


def inputs(preset: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Landmark images uint8 [B, S, S, 3] and ψ float32 [B, L]."""
    from tf_talking.config import get_preset
    from tf_talking.networks.generator import neutral_adain_params
    from tf_talking.networks.images import landmark_images, to_uint8
    from tf_talking.procedural.samples import sample_landmarks

    config = get_preset(preset)
    drawn = to_uint8(landmark_images(config, sample_landmarks(config, batch))).numpy()
    psi = np.repeat(neutral_adain_params(config.model)[np.newaxis], batch, axis=0)
    noise = np.random.default_rng(0).normal(0, 0.1, psi.shape)
    return drawn, (psi + noise).astype(np.float32)


def make_generator(preset: str):
    """The straightforward network with random weights, gates open."""
    import keras

    from tf_talking.config import get_preset
    from tf_talking.networks.generator import Generator

    keras.utils.set_random_seed(0)
    generator = Generator(get_preset(preset).model)
    for attention in generator.attentions.values():
        attention.gate.assign(0.5)
    for layer in generator.submodules:
        if hasattr(layer, "fold"):
            layer.fold = False
    return generator


def has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers itself."""
    flags_of_cpu = pathlib.Path("/proc/cpuinfo")
    return flags_of_cpu.exists() and "avx512_bf16" in flags_of_cpu.read_text()


def write_graphs(folder: pathlib.Path, preset: str, batch: int) -> dict[str, float]:
    """SavedModels and ONNX files in `folder`. Returns giga multiply-adds a frame by graph."""
    import tensorflow as tf
    import tf2onnx

    from tf_talking.config import get_preset
    from tf_talking.networks.images import to_float, to_uint8
    from tf_talking.served.frozen import FrozenGenerator
    from tf_talking.served.graphs import save_generator

    config, generator = get_preset(preset), make_generator(preset)
    for dtype in ("float32", "bfloat16") if has_bfloat16() else ("float32",):
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
        function = tf.function(
            lambda x, psi, network=network: to_uint8(network(to_float(x), psi)), autograph=False
        )
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
