"""Meta-learning on a dataset folder: `python -m training.meta_train --dataset DIR --run DIR`.

Started again with the same flags, it goes on from the newest checkpoint of the run folder. SIGTERM
and Ctrl-C save a checkpoint first.
"""

import pathlib
import signal
import sys

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from tf_talking.config import PRESETS, Config, from_json, get_preset
from tf_talking.data.dataset_folder import DatasetFolder
from tf_talking.data.episodes import EpisodeDataset
from tf_talking.data.photos import write_png
from tf_talking.models.images import landmark_images, to_float, to_uint8
from training import content_flags
from training.loop import Every, ProgressLine, ScalarLog, StopRequest, run_loop
from training.meta_trainer import MetaTrainer
from training.overrides import apply_overrides
from training.previews import choose_rows, draw_grid
from training.run_folder import RunFolder

FLAGS = flags.FLAGS
content_flags.define_content_flags()
flags.DEFINE_multi_string("dataset", None, "Dataset folder of training.preprocess; repeatable.")
flags.DEFINE_string("run", None, "Run folder; created, or continued where it exists.")
flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Named configuration.")
flags.DEFINE_string("config", None, "config.json to use instead of a preset.")
flags.DEFINE_multi_string("override", [], "section.field=value, e.g. train.batch_size=4.")
flags.DEFINE_integer("steps", 100_000, "Train until this step.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Seed of weights and episodes.", lower_bound=0)
flags.DEFINE_list("exclude_identities", [], "People kept out of training; shown in previews.")
flags.DEFINE_integer("log_every", 50, "Steps between logged scalars.", lower_bound=1)
flags.DEFINE_integer("preview_every", 1000, "Steps between preview pictures.", lower_bound=1)
flags.DEFINE_integer("checkpoint_every", 1000, "Steps between checkpoints.", lower_bound=1)
flags.DEFINE_integer("keep_checkpoints", 3, "Newest checkpoints kept.", lower_bound=1)
flags.DEFINE_bool("deterministic", False, "Same result bit by bit in every run; slower.")
flags.mark_flags_as_required(["dataset", "run"])


def resolve_config() -> Config:
    """Preset or file, then overrides, then what the weight flags leave out."""
    if FLAGS.config:
        config = from_json(pathlib.Path(FLAGS.config).read_text(), FLAGS.config)
    else:
        config = get_preset(FLAGS.preset)
    return content_flags.resolve_content(apply_overrides(config, FLAGS.override))


def check_dataset(config: Config, info) -> None:
    """Raises ValueError where the records were not made for this config."""
    for name, wanted, found in (
        ("image_size", config.model.image_size, info.image_size),
        ("scheme", config.landmarks.scheme, info.scheme),
        ("detector", config.landmarks.detector, info.detector),
    ):
        if wanted != found:
            raise ValueError(
                f"--dataset: its {name} is {found!r}, the config has {wanted!r}; preprocess with "
                f"--{name}={wanted}, or train with --override for {name}"
            )


def distribute(strategy, dataset, config: Config):
    """An iterator over batches split among the strategy's replicas."""
    replicas = strategy.num_replicas_in_sync
    if config.train.batch_size % replicas:
        raise ValueError(
            f"train.batch_size: got {config.train.batch_size}, expected a multiple of the "
            f"{replicas} replicas"
        )
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return iter(strategy.experimental_distribute_dataset(dataset.with_options(options)))


def make_preview(trainer: MetaTrainer, config: Config, folder: RunFolder, writer):
    """A function of the step that draws the fixed grid with the EMA networks."""
    dataset = DatasetFolder.open(FLAGS.dataset[0])
    held_out = [e for e in dataset.accepted if e.identity in FLAGS.exclude_identities]
    rows = choose_rows(dataset, held_out or dataset.accepted, config.train.k_shot, count=4)

    @tf.function
    def embed(frames, landmarks):
        embedding = trainer.ema_embedder.embed(
            to_float(frames), landmark_images(config, landmarks)
        )
        return trainer.ema_generator.project(embedding)

    @tf.function
    def generate(landmarks, adain_params):
        images = trainer.ema_generator(landmark_images(config, landmarks), adain_params)
        return to_uint8(images)

    def preview(step: int) -> None:
        grid = draw_grid(rows, config, embed, generate)
        write_png(folder.previews / f"step_{step:09d}.png", grid)
        with writer.as_default(step=step):
            tf.summary.image("previews", grid[np.newaxis])

    return preview


def train(config: Config) -> int:
    """Runs the training. Returns the process's exit code."""
    episodes = EpisodeDataset(
        FLAGS.dataset,
        k_shot=config.train.k_shot,
        batch_size=config.train.batch_size,
        seed=FLAGS.seed,
        exclude_identities=FLAGS.exclude_identities,
        skip_short=True,
    )
    check_dataset(config, episodes.info)
    keras.utils.set_random_seed(FLAGS.seed)
    strategy = tf.distribute.MirroredStrategy()
    trainer = MetaTrainer(
        config, episodes.num_videos, lambda: content_flags.build_content(config), strategy
    )
    folder = RunFolder(FLAGS.run)
    resumed = folder.start(config, run_facts(episodes, trainer))
    manager = tf.train.CheckpointManager(
        trainer.checkpoint, str(folder.checkpoints), max_to_keep=FLAGS.keep_checkpoints
    )
    if manager.latest_checkpoint:
        trainer.checkpoint.restore(manager.latest_checkpoint).assert_consumed()
    start = int(trainer.step.numpy())
    logging.info(
        "%s at step %d of %d: %d videos, %d replica(s), batch %d, K=%d",
        "continuing" if resumed else "starting", start, FLAGS.steps, episodes.num_videos,
        strategy.num_replicas_in_sync, config.train.batch_size, config.train.k_shot,
    )  # fmt: skip
    if start >= FLAGS.steps:
        logging.info("nothing to do: the run is at step %d", start)
        return 0
    writer = tf.summary.create_file_writer(str(folder.tensorboard))
    shown = ("loss/generator", "loss/discriminator", "error/l1")
    with StopRequest() as stop_request:
        step = run_loop(
            trainer.train_step,
            distribute(strategy, episodes.dataset(int(trainer.episodes.numpy())), config),
            start,
            FLAGS.steps,
            [
                ProgressLine(start, FLAGS.steps, shown),
                ScalarLog(writer, folder.path / "metrics.jsonl", FLAGS.log_every),
                Every(FLAGS.preview_every, make_preview(trainer, config, folder, writer)),
                Every(FLAGS.checkpoint_every, lambda n: manager.save(checkpoint_number=n)),
            ],
            stop_request,
        )
    if step < FLAGS.steps:
        name = signal.Signals(stop_request.signal).name
        logging.warning("stopped by %s: step %d is saved; run again to go on", name, step)
        return 128 + stop_request.signal
    logging.info("done: step %d, checkpoint %s", step, manager.latest_checkpoint)
    return 0


def run_facts(episodes: EpisodeDataset, trainer: MetaTrainer) -> dict:
    """What a resumed run must agree on, for run.json."""
    return {
        "data_hash": episodes.data_hash,
        "num_videos": episodes.num_videos,
        "excluded_identities": sorted(FLAGS.exclude_identities),
        "seed": FLAGS.seed,
        "content_weights": {n: c.weights_source for n, c in trainer.content.items()},
    }


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    logging.set_verbosity(logging.INFO)
    if FLAGS.deterministic:
        tf.config.experimental.enable_op_determinism()
    try:
        sys.exit(train(resolve_config()))
    except (ValueError, FileNotFoundError) as error:
        logging.error("%s", error)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)
