"""The cost of W at any number of videos M: `python -m benchmarks.w_update`.

Time of an update of W (gather, gradient, Adam's moments) with the rows of a batch, beside the same
update by Keras' Adam on the whole matrix, and of a whole training step; each M in a process of its
own, which also tells its peak memory. The rounds of all M are interleaved, so that a slow moment of
the machine meets all of them. The last line is JSON.
"""

import json
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks.measuring.peak_memory import peak_gib
from benchmarks.measuring.procedural_batch import make_batch
from tf_talking.config import get_preset
from training.meta.step import MetaTrainer
from training.updates.adam import RowAdam

FLAGS = flags.FLAGS
flags.DEFINE_list("videos", ["1000", "20000", "150000", "1100000"], "Values of M.")
flags.DEFINE_string("preset", "small", "Configuration of the whole step, without VGGs.")
flags.DEFINE_integer("rounds", 5, "Timed rounds.", lower_bound=1)
flags.DEFINE_integer("serve", None, "Internal: answer the questions of the parent for this M.")

SIZE, BATCH = 512, 8  # N of the paper; episodes
ROW_UPDATES = 200  # a round; one takes less than a millisecond
DENSE_LIMIT = 200_000  # Keras' Adam at 1.1 million would need 20 GB


class Subject:
    """What is timed for one M: name → a function that does it once."""

    def __init__(self, num_videos: int):
        strategy = tf.distribute.get_strategy()
        index = tf.constant(np.random.default_rng(0).integers(0, num_videos, BATCH), tf.int32)
        config = get_preset(FLAGS.preset)
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


def serve(num_videos: int) -> None:
    """Reads names of functions from stdin, writes the seconds that each took."""
    subject = Subject(num_videos)
    print(json.dumps(subject.peak_gib), flush=True)
    for line in sys.stdin:
        function = getattr(subject, line.strip())
        if function is None:
            print("null", flush=True)
            continue
        start = time.perf_counter()
        function()
        print(json.dumps(time.perf_counter() - start), flush=True)


class Child:
    """One M in a process of its own."""

    def __init__(self, num_videos: str):
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.w_update",
                f"--serve={num_videos}",
                f"--preset={FLAGS.preset}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.peak_gib = json.loads(self.process.stdout.readline())
        self.seconds = {"rows": [], "dense": [], "step": []}

    def ask(self, name: str, keep: bool) -> None:
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        seconds = json.loads(self.process.stdout.readline())
        if seconds is not None and keep:
            self.seconds[name].append(seconds / (ROW_UPDATES if name == "rows" else 1))

    def figures(self) -> dict:
        median = {f"{n}_ms": 1e3 * float(np.median(s)) for n, s in self.seconds.items() if s}
        return {"peak_gib": round(self.peak_gib, 2), **{n: round(v, 3) for n, v in median.items()}}


def main(_):
    if FLAGS.serve is not None:
        return serve(FLAGS.serve)
    children = {m: Child(m) for m in FLAGS.videos}
    for round_number in range(FLAGS.rounds + 1):  # the first one traces and is not counted
        for name in ("rows", "dense", "step"):
            for child in children.values():
                child.ask(name, keep=round_number > 0)
    figures = {m: child.figures() for m, child in children.items()}
    for child in children.values():
        child.process.stdin.close()
        child.process.wait()
    for m, values in figures.items():
        print(f"M = {int(m):>9,}: {values}")
    result = {"preset": FLAGS.preset, "batch_size": BATCH, "row_size": SIZE, "videos": figures}
    if {"1000", "150000"} <= set(figures):
        result["ratio_150000_to_1000"] = {
            name: round(figures["150000"][name] / figures["1000"][name], 2)
            for name in ("rows_ms", "dense_ms", "step_ms")
        }
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
