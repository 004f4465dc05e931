"""Chaos: servers and jobs killed at random: `python -m benchmarks.chaos --minutes=10`.

Two embedded servers on fixed ports, one of which is killed every few seconds and started again; a
video is animated and a live stream recorded through both without a pause; a person is fine-tuned
and a folder of videos preprocessed, each killed at random (preprocessing's workers, too) and
started again until it is done. Nothing may be lost: what was not killed ends well and is whole,
what was killed goes on to the same person and the same dataset as a job that was left alone, and
leaves nothing half-written and no process behind. Everything is drawn (procedural people), so
nothing is needed besides the checkout. The last line is JSON; exit code 1 if anything was not so.
"""

import json
import pathlib
import tempfile
import threading
import time

from absl import flags

from benchmarks.attacks.chaos import Chaos, Scene
from benchmarks.measuring.result import result
from tf_talking import program

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_float("minutes", 10, "Length; what is under way then may end.", lower_bound=0.1)
    flags.DEFINE_integer("seed", 0, "Of whom is killed when.")


def run(folder: pathlib.Path, seconds: float, seed: int, jobs: tuple[str, ...], **sizes: int) -> dict:
    """Chaos for a while; returns the figures.

    Args:
      folder: new or empty.
      seconds: after which nothing is started or killed any more.
      seed: of whom is killed when.
      jobs: of animate, webcam, finetune, preprocess.
      **sizes: of `Scene`.
    """
    scene = Scene(folder, jobs, **sizes)
    chaos = Chaos(scene, seed)
    threads = [threading.Thread(target=chaos.repeat, args=(name,)) for name in jobs]
    with chaos.servers():
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        chaos.stop.set()
        for thread in threads:
            thread.join()
    return chaos.figures()


def main(argv):
    with tempfile.TemporaryDirectory() as folder:
        jobs = ("animate", "webcam", "finetune", "preprocess")
        figures = run(pathlib.Path(folder), 60 * FLAGS.minutes, FLAGS.seed, jobs)
    print(json.dumps(result({"minutes": FLAGS.minutes, **figures})))
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    program.run(main, define_flags)
