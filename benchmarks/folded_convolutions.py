"""Folded convolutions beside the plain ones: `python -m benchmarks.folded_convolutions`.

Forward and backward pass of each down and up convolution of the `paper` preset, with one frame,
interleaved; the ratio tells how much folding saves. It says where `FOLD_FROM` belongs. The last
line is JSON.
"""

import tensorflow as tf
from absl import flags

from benchmarks.measuring.result import result, rounded
from benchmarks.measuring.turns import medians, time_in_turns
from tf_talking import program
from tf_talking.layers import spectral_conv2d
from tf_talking.layers.spectral_conv2d import SpectralConv2D

FLAGS = flags.FLAGS

# (side of the input in pixels, channels in, channels out)
DOWN = [(256, 64, 64), (128, 128, 128), (64, 256, 256), (32, 512, 512), (16, 512, 512)]
UP = [(128, 128, 64), (64, 256, 128), (32, 512, 256), (16, 512, 512)]


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_enum("precision", "float32", ["float32", "bfloat16"], "Type of the activations.")
    flags.DEFINE_integer("batch_size", 1, "Frames.", lower_bound=1)
    flags.DEFINE_integer("rounds", 7, "Timed passes of each.", lower_bound=1)


def make_pass(composition: str, size: int, channels: int, filters: int, fold: bool):
    """A compiled forward and backward pass."""
    layer = SpectralConv2D(filters, 3, use_bias=False)
    layer.build((None, size, size, channels))
    layer.fold = fold
    shape = [FLAGS.batch_size, size, size, channels]
    x = tf.cast(tf.random.stateless_normal(shape, seed=[1, 2]), FLAGS.precision)

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = getattr(layer, composition)(x)
            loss = tf.reduce_mean(tf.square(tf.cast(y, tf.float32)))
        gradients = tape.gradient(loss, [x, layer.kernel])
        return [tf.reduce_sum(tf.cast(g, tf.float32)) for g in gradients]

    return lambda: [float(v) for v in run()]


def measure(composition: str, *shape: int) -> dict:
    """Milliseconds of both and the ratio."""
    runs = {"ms": make_pass(composition, *shape, fold=False), "folded_ms": make_pass(composition, *shape, fold=True)}
    milliseconds = medians(time_in_turns(runs, FLAGS.rounds), 1e3)
    return milliseconds | {"ratio": milliseconds["ms"] / milliseconds["folded_ms"]}


def main(argv):
    spectral_conv2d.FOLD_FROM = 1  # here every size is to be folded
    figures = {"precision": FLAGS.precision, "batch_size": FLAGS.batch_size}
    for composition, shapes in (("then_pool", DOWN), ("after_upsampling", UP)):
        for shape in shapes:
            name = f"{composition} {shape[0]}px {shape[1]}->{shape[2]}"
            figures[name] = measure(composition, *shape)
            print(f"{name}: {rounded(figures[name])}", flush=True)
    return result(figures)


if __name__ == "__main__":
    program.run(main, define_flags)
