"""What bfloat16 does to training: `python -m benchmarks.precision_curves`.

Trains the demo's configuration on procedural people, once for each precision and seed, from the
same weights and on the same episodes, and measures at intervals the EMA generator on people that
were kept out (L1 and SSIM of frames drawn feed-forward). Draws the curves. The difference between
the precisions is to be read beside the difference between the seeds. The last line is JSON.
"""

import pathlib
import tempfile

import keras
import matplotlib
import numpy as np
import tensorflow as tf
from absl import flags, logging

from benchmarks.measuring.networks import without_content
from benchmarks.measuring.result import result
from serving.demo_train import OVERRIDES
from tf_talking import program
from tf_talking.config import get_preset
from tf_talking.config.overrides import apply_overrides
from tf_talking.dataset.episodes import EpisodeDataset
from tf_talking.metrics.l1 import l1
from tf_talking.metrics.ssim import ssim
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.procedural.folder import list_jobs, make_dataset, open_writer
from training.meta.options import PRECISIONS, StepOptions
from training.meta.step import MetaTrainer

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

FLAGS = flags.FLAGS
HELD_OUT = 16


def define_flags() -> None:
    """Flags of this command."""
    flags.DEFINE_list("precisions", ["float32", "bfloat16"], f"Some of {PRECISIONS}.")
    flags.DEFINE_list("seeds", ["0", "1"], "Seeds of weights and episodes.")
    flags.DEFINE_integer("steps", 600, "Of each training.", lower_bound=1)
    flags.DEFINE_integer("every", 100, "Steps between two measurements.", lower_bound=1)
    flags.DEFINE_integer("people", 160, "Trained on; 16 more are kept out.", lower_bound=1)
    flags.DEFINE_string("output", "precision_curves.png", "Picture of the curves.")
    flags.DEFINE_string("data", None, "Folder for the procedural people; default: a temporary one.")


def make_people(folder: pathlib.Path, size: int, first: int, count: int) -> pathlib.Path:
    """A dataset of people first, first + 1, ...; continued where it exists."""
    jobs = list_jobs(range(first, first + count), 1, 12, size, 0)
    make_dataset(open_writer(folder, size), jobs, workers=0)
    return folder


def train(config, precision: str, seed: int, train_data, test_batch) -> dict[str, list]:
    """One training; returns what was measured at each interval."""
    keras.utils.set_random_seed(seed)
    strategy = tf.distribute.get_strategy()
    episodes = EpisodeDataset(train_data, config.train.k_shot, config.train.batch_size, seed)
    trainer = MetaTrainer(config, episodes.num_videos, dict, strategy, StepOptions(precision=precision))

    learned = MetaLearned(config, "", 0, trainer.ema_embedder, trainer.ema_generator)

    @tf.function(autograph=False)
    def draw():
        embedding = learned.embed(test_batch["source_frames"], test_batch["source_landmarks"])
        return learned.draw(test_batch["target_landmarks"], learned.project(embedding))

    curves = {"step": [], "l1": [], "ssim": [], "loss/generator": [], "loss/discriminator": []}
    sums = []
    for step, batch in enumerate(episodes.dataset().take(FLAGS.steps), 1):
        metrics = trainer.train_step(batch)
        sums.append([metrics["loss/generator"], metrics["loss/discriminator"]])
        if step % FLAGS.every == 0:
            fake, real = draw().numpy(), test_batch["target_frame"].numpy()
            means = np.mean(sums, axis=0)
            sums = []
            values = [step, l1(real, fake).mean(), ssim(real, fake).mean(), *means]
            for name, value in zip(curves, values, strict=True):
                curves[name].append(float(value))
            print(precision, seed, {n: round(c[-1], 4) for n, c in curves.items()}, flush=True)
    return curves


def draw_curves(runs: dict, path: str) -> None:
    names = ["l1", "ssim", "loss/generator", "loss/discriminator"]
    figure, axes = plt.subplots(1, len(names), figsize=(16, 3.6), layout="constrained")
    for name, axis in zip(names, axes, strict=True):
        for (precision, seed), curves in runs.items():
            style = {"float32": "-", "bfloat16": "--", "float16": ":"}[precision]
            axis.plot(
                curves["step"],
                curves[name],
                style,
                label=f"{precision}, seed {seed}",
                color=f"C{FLAGS.seeds.index(str(seed))}",
            )
        axis.set_title(name if "/" in name else f"{name}, people kept out")
        axis.set_xlabel("step")
    axes[0].legend()
    figure.savefig(path, dpi=90)


def main(argv):
    logging.set_verbosity(logging.ERROR)
    config = without_content(apply_overrides(get_preset("tiny"), list(OVERRIDES)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(FLAGS.data or temporary)
        size, k_shot = config.model.image_size, config.train.k_shot
        people = make_people(folder / "people", size, 0, FLAGS.people)
        held_out = make_people(folder / "held_out", size, 1_000_000, HELD_OUT)
        test_batch = next(iter(EpisodeDataset(held_out, k_shot, HELD_OUT, 0).dataset()))
        runs = {
            (precision, int(seed)): train(config, precision, int(seed), people, test_batch)
            for seed in FLAGS.seeds
            for precision in FLAGS.precisions
        }
    draw_curves(runs, FLAGS.output)
    last = {
        f"{precision} seed {seed}": {name: curve[-1] for name, curve in curves.items()}
        for (precision, seed), curves in runs.items()
    }
    return result({"steps": FLAGS.steps, "people": FLAGS.people, "at_the_end": last})


if __name__ == "__main__":
    program.run(main, define_flags)
