"""The exported generator beside the straightforward one and other runtimes:

    python -m benchmarks.generator --preset=paper

Variants, run in turns, each in a process of its own so that thread pools do not meet:
    keras            the straightforward network under tf.function, model(x, training=False):
                     spectral norm in every call, convolutions and resampling one after the other
    exported         `serving_default` of the SavedModel that `serving.export` writes, float32
    exported_bf16    the same in bfloat16, where the CPU has it
    onnxruntime      the straightforward graph, spectral norm folded, in ONNX Runtime
    openvino         the same in OpenVINO, float32
    openvino_merged  the merged convolutions in OpenVINO, float32; openvino_merged_bf16 likewise
Weights are random. Also: the share of the machine's peak, that is of the rate of a large matrix
product of that type in TensorFlow, counting the multiplications that the exported graph has left.
The last line is JSON: milliseconds a frame (medians), ratios, agreement.
"""

import json
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags

from benchmarks.measuring.generator_graphs import has_bfloat16, inputs, make_generator, write_graphs

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Only when run as a program."""
    flags.DEFINE_string("preset", "paper", "Config of the generator.")
    flags.DEFINE_integer("batch_size", 1, "Frames a call.", lower_bound=1)
    flags.DEFINE_integer("rounds", 9, "Turns of every variant.", lower_bound=1)
    flags.DEFINE_integer("calls", 3, "Calls of a variant in its turn.", lower_bound=1)
    flags.DEFINE_list("variants", list(VARIANTS), "Which ones.")


def keras_call(folder: pathlib.Path, preset: str, batch: int):
    import tensorflow as tf

    from tf_talking.networks.images import to_float, to_uint8

    generator = make_generator(preset)
    call = tf.function(lambda x, psi: to_uint8(generator(to_float(x), psi, training=False)))
    return lambda x, psi: call(x, psi).numpy()


def exported_call(folder: pathlib.Path, preset: str, batch: int, dtype: str = "float32"):
    import tensorflow as tf

    model = tf.saved_model.load(str(folder / f"exported_{dtype}"))
    signature = model.signatures["serving_default"]

    def call(x, psi):
        return signature(landmark_images=x, adain_params=psi)["frames"].numpy()

    call.model = model  # a signature does not keep its model alive
    return call


def onnxruntime_call(folder: pathlib.Path, preset: str, batch: int):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(folder / "straightforward.onnx"), providers=["CPUExecutionProvider"]
    )
    names = [entry.name for entry in session.get_inputs()]
    return lambda x, psi: session.run(None, dict(zip(names, (x, psi), strict=True)))[0]


def openvino_call(folder: pathlib.Path, preset: str, batch: int, graph: str, precision: str):
    import openvino

    core = openvino.Core()
    model = core.read_model(str(folder / f"{graph}.onnx"))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    return lambda x, psi: compiled([x, psi])[0]


# name → (function that makes the call, further arguments)
VARIANTS = {
    "keras": (keras_call, ()),
    "exported": (exported_call, ()),
    "exported_bf16": (exported_call, ("bfloat16",)),
    "onnxruntime": (onnxruntime_call, ()),
    "openvino": (openvino_call, ("straightforward", "f32")),
    "openvino_merged": (openvino_call, ("merged", "f32")),
    "openvino_merged_bf16": (openvino_call, ("merged", "bf16")),
}


def peak_rate(dtype: str = "float32") -> float:
    """Giga multiply-adds a second of a large matrix product."""
    import tensorflow as tf

    a = tf.cast(tf.random.stateless_normal([2048, 2048], seed=[1, 2]), dtype)
    call = tf.function(lambda: tf.matmul(a, a))
    seconds = []
    for _ in range(12):
        start = time.perf_counter()
        call()[0, 0].numpy()
        seconds.append(time.perf_counter() - start)
    return 2048**3 / 1e9 / statistics.median(seconds[2:])


def worker(pipe, name: str, folder: pathlib.Path, preset: str, batch: int) -> None:
    """Answers "run" with the seconds of so many calls and the frames of the last one."""
    x, psi = inputs(preset, batch)
    make, arguments = VARIANTS[name]
    call = make(folder, preset, batch, *arguments)
    for _ in range(3):
        frames = call(x, psi)
    pipe.send(frames)
    while calls := pipe.recv():
        seconds = []
        for _ in range(calls):
            start = time.perf_counter()
            call(x, psi)
            seconds.append(time.perf_counter() - start)
        pipe.send(seconds)


def _graphs(folder, preset, batch, queue) -> None:
    dtypes = {"exported": "float32"} | ({"exported_bf16": "bfloat16"} if has_bfloat16() else {})
    rates = {name: peak_rate(dtype) for name, dtype in dtypes.items()}
    queue.put((write_graphs(folder, preset, batch), rates))


def measure(folder: pathlib.Path, names: list[str]) -> tuple[dict, dict]:
    """Seconds of every call by variant, in turns, and its frames."""
    context = multiprocessing.get_context("spawn")
    pipes, frames, seconds = {}, {}, {name: [] for name in names}
    processes = []
    for name in names:
        pipes[name], end = context.Pipe()
        arguments = (end, name, folder, FLAGS.preset, FLAGS.batch_size)
        processes.append(context.Process(target=worker, args=arguments, daemon=True))
        processes[-1].start()
        frames[name] = pipes[name].recv()
    for _ in range(FLAGS.rounds):
        for name in names:
            pipes[name].send(FLAGS.calls)
            seconds[name] += pipes[name].recv()
    for name in names:
        pipes[name].send(0)
    for process in processes:
        process.join()
    return seconds, frames


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    unknown = set(FLAGS.variants) - set(VARIANTS)
    if unknown:
        raise app.UsageError(f"--variants: unknown {sorted(unknown)}, known {list(VARIANTS)}")
    names = [n for n in FLAGS.variants if has_bfloat16() or not n.endswith("bf16")]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        process = context.Process(
            target=_graphs, args=(folder, FLAGS.preset, FLAGS.batch_size, queue)
        )
        process.start()
        counts, rates = queue.get()
        process.join()
        seconds, frames = measure(folder, names)
    milliseconds = {
        name: 1e3 * statistics.median(values) / FLAGS.batch_size for name, values in seconds.items()
    }
    fastest = {name: 1e3 * min(values) / FLAGS.batch_size for name, values in seconds.items()}
    for name, value in milliseconds.items():
        print(f"{name:<22}{value:8.1f} ms a frame (median), {fastest[name]:8.1f} (fastest)")
    results = {
        "preset": FLAGS.preset,
        "batch_size": FLAGS.batch_size,
        "milliseconds": {k: round(v, 1) for k, v in milliseconds.items()},
        "fastest": {k: round(v, 1) for k, v in fastest.items()},
    }
    if "exported" in milliseconds:
        own = milliseconds["exported"]
        results["times_exported"] = {k: round(v / own, 2) for k, v in milliseconds.items()}
        results["giga_multiply_adds"] = {k: round(v, 1) for k, v in counts.items()}
        results["peak_giga_multiply_adds_per_second"] = {k: round(v, 1) for k, v in rates.items()}
        results["share_of_peak"] = {
            name: round(counts[name] / (milliseconds[name] / 1e3) / rate, 2)
            for name, rate in rates.items()
            if name in milliseconds
        }
    if "keras" in milliseconds:
        results["times_faster_than_keras"] = {
            k: round(milliseconds["keras"] / v, 2) for k, v in milliseconds.items()
        }
        reference = frames["keras"].astype(int)
        results["largest_difference_in_levels"] = {
            k: int(np.abs(v.astype(int) - reference).max()) for k, v in frames.items()
        }
    print(json.dumps(results))


if __name__ == "__main__":
    define_flags()
    app.run(main)
