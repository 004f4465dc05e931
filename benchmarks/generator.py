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

import contextlib
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.measuring.child import Child, run_in_child
from benchmarks.measuring.generator_graphs import inputs, make_generator, write_graphs
from benchmarks.measuring.result import result
from benchmarks.measuring.turns import in_turns, medians, seconds_of
from tf_talking import program
from tf_talking.config import PRESETS
from tf_talking.cpu import multiplies_bfloat16
from tf_talking.networks.images import to_float, to_uint8

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Config of the generator.")
    flags.DEFINE_integer("batch_size", 1, "Frames a call.", lower_bound=1)
    flags.DEFINE_integer("rounds", 9, "Turns of every variant.", lower_bound=1)
    flags.DEFINE_integer("calls", 3, "Calls of a variant in its turn.", lower_bound=1)
    flags.DEFINE_list("variants", list(VARIANTS), "Which ones.")


def keras_call(folder: pathlib.Path, preset: str, batch: int):
    generator = make_generator(preset)
    call = tf.function(lambda x, psi: to_uint8(generator(to_float(x), psi, training=False)))
    return lambda x, psi: call(x, psi).numpy()


def exported_call(folder: pathlib.Path, preset: str, batch: int, dtype: str = "float32"):
    model = tf.saved_model.load(str(folder / f"exported_{dtype}"))
    signature = model.signatures["serving_default"]

    def call(x, psi):
        return signature(landmark_images=x, adain_params=psi)["frames"].numpy()

    call.model = model  # a signature does not keep its model alive
    return call


def onnxruntime_call(folder: pathlib.Path, preset: str, batch: int):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "straightforward.onnx"), providers=["CPUExecutionProvider"])
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


def graphs_and_rates(folder: pathlib.Path, preset: str, batch: int) -> tuple[dict, dict]:
    """Giga multiply-adds a frame by graph, and a second of a large matrix product by type."""
    dtypes = {"exported": "float32"} | ({"exported_bf16": "bfloat16"} if multiplies_bfloat16() else {})
    rates = {name: peak_rate(dtype) for name, dtype in dtypes.items()}
    return write_graphs(folder, preset, batch), rates


def peak_rate(dtype: str) -> float:
    """Giga multiply-adds a second of a large matrix product."""
    a = tf.cast(tf.random.stateless_normal([2048, 2048], seed=[1, 2]), dtype)
    call = tf.function(lambda: tf.matmul(a, a))
    seconds = in_turns({dtype: lambda: seconds_of(lambda: call()[0, 0].numpy())}, 10, warm_up=2)
    return 2048**3 / 1e9 / medians(seconds)[dtype]


def make_worker(name: str, folder: pathlib.Path, preset: str, batch: int):
    """Runs in a process of its own: makes a function that does and times so many calls."""
    x, psi = inputs(preset, batch)
    make, arguments = VARIANTS[name]
    call = make(folder, preset, batch, *arguments)
    for _ in range(3):
        frames = call(x, psi)
    return lambda calls: (frames, [seconds_of(lambda: call(x, psi)) for _ in range(calls)])


def measure(folder: pathlib.Path, names: list[str]) -> tuple[dict, dict]:
    """Seconds of every call by variant, in turns, and its frames."""
    with contextlib.ExitStack() as stack:
        workers, frames = {}, {}
        for name in names:
            child = Child(make_worker, name, folder, FLAGS.preset, FLAGS.batch_size)
            workers[name] = stack.enter_context(child)
            frames[name], _ = child.ask(0)  # waits until it is ready
        turns = {name: lambda w=worker: w.ask(FLAGS.calls)[1] for name, worker in workers.items()}
        times = in_turns(turns, FLAGS.rounds, warm_up=0)
    return {name: np.concatenate(seconds) for name, seconds in times.items()}, frames


def figures_of(seconds: dict, frames: dict, counts: dict, rates: dict) -> dict:
    """Milliseconds a frame, ratios, share of the peak, agreement."""
    milliseconds = medians(seconds, 1e3 / FLAGS.batch_size)
    fastest = {name: 1e3 * min(values) / FLAGS.batch_size for name, values in seconds.items()}
    figures = {"milliseconds": milliseconds, "fastest": fastest}
    if "exported" in milliseconds:
        own = milliseconds["exported"]
        figures["times_exported"] = {name: ms / own for name, ms in milliseconds.items()}
        figures["giga_multiply_adds"] = counts
        figures["peak_giga_multiply_adds_per_second"] = rates
        figures["share_of_peak"] = {
            name: counts[name] / (milliseconds[name] / 1e3) / rate
            for name, rate in rates.items()
            if name in milliseconds
        }
    if "keras" in milliseconds:
        plain, reference = milliseconds["keras"], frames["keras"].astype(int)
        figures["times_faster_than_keras"] = {n: plain / ms for n, ms in milliseconds.items()}
        figures["largest_difference_in_levels"] = {
            name: np.abs(drawn.astype(int) - reference).max() for name, drawn in frames.items()
        }
    return figures


def main(argv):
    unknown = set(FLAGS.variants) - set(VARIANTS)
    if unknown:
        raise app.UsageError(f"--variants: unknown {sorted(unknown)}, known {list(VARIANTS)}")
    names = [n for n in FLAGS.variants if multiplies_bfloat16() or not n.endswith("bf16")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        graphs = run_in_child(graphs_and_rates, folder, FLAGS.preset, FLAGS.batch_size)
        seconds, frames = measure(folder, names)
    figures = figures_of(seconds, frames, *graphs)
    for name, value in figures["milliseconds"].items():
        fastest = figures["fastest"][name]
        print(f"{name:<22}{value:8.1f} ms a frame (median), {fastest:8.1f} (fastest)")
    return result({"preset": FLAGS.preset, "batch_size": FLAGS.batch_size, **figures})


if __name__ == "__main__":
    program.run(main, define_flags)
