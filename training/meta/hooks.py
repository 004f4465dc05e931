"""What looks on while `training.meta_train` trains: checkpoints, watchdog, logs, previews."""

import functools
import pathlib

import numpy as np
import tensorflow as tf

from tf_talking.config import Config
from tf_talking.dataset.episodes import EpisodeDataset
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.records import PHOTOS, VIDEO
from tf_talking.metrics.face_recognition import load_recogniser
from tf_talking.networks.meta_learned import MetaLearned
from training.meta.held_out import HeldOutCurve, HeldOutPeople
from training.meta.logs import Lossy, ProgressLine, ScalarLog
from training.meta.loop import Every, Hook
from training.meta.options import JobOptions
from training.meta.step import MetaTrainer
from training.previews.film import write_previews
from training.previews.grid import PreviewRow, choose_rows
from training.runs.checkpoints import SafeCheckpoints
from training.runs.folder import RunFolder
from training.runs.survival import SkipPolicy, Survival
from training.watch.measures import episodes_to_watch, measure
from training.watch.rules import thresholds_for
from training.watch.watchdog import Watchdog

_SHOWN = ("loss/generator", "loss/discriminator", "error/l1")


def make_hooks(
    options: JobOptions,
    trainer: MetaTrainer,
    episodes: EpisodeDataset,
    folder: RunFolder,
    checkpoints: SafeCheckpoints,
    chief: bool,
) -> list[Hook]:
    """The hooks in their order; a worker that is not the chief only saves along and watches."""
    survival = make_survival(options, trainer, checkpoints)
    if not chief:
        return [survival, make_watchdog(options, trainer, episodes, None, None)]
    writer = tf.summary.create_file_writer(str(folder.tensorboard))
    log = ScalarLog(writer, folder.metrics, options.log_every)
    watchdog = make_watchdog(options, trainer, episodes, folder.alarms, lambda _, values: log.add(values))
    preview = Every(options.preview_every, make_preview(options, trainer, folder, writer))
    progress = ProgressLine(int(trainer.step.numpy()), options.steps, _SHOWN)
    hooks = [progress, survival, watchdog, Lossy(log, "metrics"), Lossy(preview, "previews")]
    if options.held_out_every:
        curve = make_held_out(options, trainer, folder)
        look = Every(options.held_out_every, lambda step: log.add(curve.look(step)))
        hooks.insert(3, look)  # before the log that its values go into
    return hooks


def make_survival(options: JobOptions, trainer: MetaTrainer, checkpoints: SafeCheckpoints) -> Survival:
    """Saves, and goes back to a checkpoint where too many updates are left out."""
    counters = trainer.guard.counters

    def restored() -> int:
        counters.skipped_in_a_row.assign(0)
        return int(trainer.step.numpy())

    return Survival(
        checkpoints,
        options.checkpoint_every,
        restored,
        keep=(trainer.episodes, counters.skipped_updates, counters.skipped_records),
        policy=SkipPolicy(options.max_skipped, options.max_rollbacks),
    )


def make_watchdog(options: JobOptions, trainer: MetaTrainer, episodes: EpisodeDataset, path, log) -> Watchdog:
    """Looks at the live networks on a few fixed episodes."""
    config = trainer.config
    look = tf.function(
        functools.partial(
            measure,
            config,
            trainer.embedder,
            trainer.generator,
            episodes_to_watch(episodes.dataset()),
            discriminator=trainer.discriminator,
        ),
        autograph=False,
    )
    given = {} if options.watch_grace is None else {"grace": options.watch_grace}
    return Watchdog(
        look,
        options.watch_every,
        path,
        thresholds_for(config, **given),
        stop_on=options.stop_on_alarm,
        # A normalised W_i is short when there are many.
        leave_out=["w_vanishing"] if config.model.spectral_norm_on_w else [],
        log=log,
    )


def make_held_out(options: JobOptions, trainer: MetaTrainer, folder: RunFolder) -> HeldOutCurve:
    """The curve of feed-forward on people kept out, by the EMA networks."""
    config, names, needs = trainer.config, ["l1"], {}
    if options.recogniser:
        names.append("csim")
        needs["recogniser"] = load_recogniser(options.recogniser)
    dataset = DatasetFolder.open(options.dataset[0])
    people = HeldOutPeople.choose(dataset, options.exclude_identities, options.held_out_people)
    learned = MetaLearned(config, "", 0, trainer.ema_embedder, trainer.ema_generator)
    best = pathlib.Path(folder.path) / "best"
    return HeldOutCurve(learned, people, names, needs, trainer.checkpoint, best)


def preview_rows(options: JobOptions, k_shot: int) -> list[PreviewRow]:
    """Four people with videos, or those there are, and two with photos; kept out where some are."""
    rows: list[PreviewRow] = []
    for kind, count in ((VIDEO, 4), (PHOTOS, 2)):
        for folder in map(DatasetFolder.open, options.dataset):
            entries = [e for e in folder.accepted if e.kind == kind]
            kept_out = [e for e in entries if e.identity in options.exclude_identities]
            # Of one photo the truth would be a source.
            entries = [e for e in kept_out or entries if kind == VIDEO or e.num_frames > 1]
            if entries:
                rows += choose_rows(folder, entries, k_shot, count)
                break
    if rows:
        return rows
    folder = DatasetFolder.open(options.dataset[0])
    return choose_rows(folder, folder.accepted, k_shot, count=2)


def make_preview(options: JobOptions, trainer: MetaTrainer, folder: RunFolder, writer):
    """A function of the step that draws the same people with the EMA networks."""
    config: Config = trainer.config
    rows = preview_rows(options, config.train.k_shot)
    learned = MetaLearned(config, "", 0, trainer.ema_embedder, trainer.ema_generator)
    embed, generate = learned.compile_projection(), tf.function(learned.draw, autograph=False)

    def preview(step: int) -> None:
        grid = write_previews(folder.previews, step, rows, config, embed, generate, options.preview_film)
        with writer.as_default(step=step):
            tf.summary.image("previews", grid[np.newaxis])

    return preview
