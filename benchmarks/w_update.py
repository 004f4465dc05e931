"""The cost of W at any number of videos M: `python -m benchmarks.w_update`.

Time of an update of W (gather, gradient, Adam's moments) with the rows of a batch, beside the same
update by Keras' Adam on the whole matrix, and of a whole training step; each M in a process of its
own, which also tells its peak memory. The rounds of all M are interleaved, so that a slow moment of
the machine meets all of them. The last line is JSON.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks.measuring.child import Child
from benchmarks.measuring.memory import peak_gib
from benchmarks.measuring.people import make_batch
from benchmarks.measuring.result import result, rounded
from benchmarks.measuring.turns import in_turns, medians, seconds_of
from tf_talking import program
from tf_talking.config import PRESETS, get_preset
from training.meta.step import MetaTrainer
from training.updates.adam import RowAdam

FLAGS = flags.FLAGS
SIZE, BATCH = 512, 8  # N of the paper; episodes
ROW_UPDATES = 200  # a round; one takes less than a millisecond
DENSE_LIMIT = 200_000  # Keras' Adam at 1.1 million would need 20 GB


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_list("videos", ["1000", "20000", "150000", "1100000"], "Values of M.")
    flags.DEFINE_enum("preset", "small", sorted(PRESETS), "Of the whole step, without VGGs.")
    flags.DEFINE_integer("rounds", 5, "Timed rounds.", lower_bound=1)


class Subject:
    """What is timed for one M: name -> a function that does it once."""

    def __init__(self, preset: str, num_videos: int):
        strategy = tf.distribute.get_strategy()
        index = tf.constant(np.random.default_rng(0).integers(0, num_videos, BATCH), tf.int32)
        config = get_preset(preset)
        trainer = MetaTrainer(config, num_videos, dict, strategy)
        batch = {**make_batch(config, num_videos), "video_index": index}
        self.step = lambda: float(trainer.train_step(batch)["loss/generator"])
        self.step()
        self.peak_gib = peak_gib()
        table = tf.Variable(tf.random.uniform([num_videos, SIZE]))
        adam = RowAdam(table, 1e-3, 0.0, 0.999, 1e-5)

        @tf.function
        def rows():
            gathered = tf.gather(table, index)
            with tf.GradientTape() as tape:
                tape.watch(gathered)
                loss = tf.reduce_sum(tf.square(gathered))
            gradient = tape.gradient(loss, gathered)
            adam.apply(strategy, [(tf.IndexedSlices(gradient, index), table)])
            return loss

        self.rows = lambda: [float(rows()) for _ in range(ROW_UPDATES)]
        self.dense = self._dense(table, index) if num_videos <= DENSE_LIMIT else None

    def _dense(self, table, index):
        optimizer = keras.optimizers.Adam(1e-3, 0.0, 0.999, 1e-5)
        optimizer.build([table])

        @tf.function
        def dense():
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(tf.gather(table, index)))
            optimizer.apply_gradients([(tape.gradient(loss, table), table)])
            return loss

        return lambda: float(dense())

    def answer(self, name: str) -> float | None:
        """Milliseconds of one update or step; None where it is not measured; or GiB."""
        function = getattr(self, name)
        if function is None or name == "peak_gib":
            return function
        return 1e3 * seconds_of(function) / (ROW_UPDATES if name == "rows" else 1)


def answering(preset: str, num_videos: int):
    """Runs in the child."""
    return Subject(preset, num_videos).answer


def main(argv):
    with contextlib.ExitStack() as stack:
        children, figures = {}, {}
        for m in FLAGS.videos:
            children[m] = stack.enter_context(Child(answering, FLAGS.preset, int(m)))
            figures[m] = {"peak_gib": children[m].ask("peak_gib")}
        calls = {
            (m, name): lambda c=child, n=name: c.ask(n)
            for name in ("rows", "dense", "step")
            for m, child in children.items()
        }
        times = in_turns(calls, FLAGS.rounds)
    measured = {key: values for key, values in times.items() if None not in values}
    for (m, name), milliseconds in medians(measured).items():
        figures[m][f"{name}_ms"] = milliseconds
    for m, values in figures.items():
        print(f"M = {int(m):>9,}: {rounded(values)}")
    facts = {"preset": FLAGS.preset, "batch_size": BATCH, "row_size": SIZE, "videos": figures}
    if {"1000", "150000"} <= set(figures):
        facts["ratio_150000_to_1000"] = {
            name: figures["150000"][name] / figures["1000"][name] for name in ("rows_ms", "dense_ms", "step_ms")
        }
    return result(facts)


if __name__ == "__main__":
    program.run(main, define_flags)
