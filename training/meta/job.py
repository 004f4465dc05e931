"""A meta-training job from its options to its exit code: data, trainer, run folder, loop."""

import datetime
import signal
from collections.abc import Callable

import keras
import tensorflow as tf
from absl import logging

from tf_talking.dataset.episodes import EpisodeDataset
from training.meta.hooks import make_hooks
from training.meta.loop import AgreedStop, StopRequest, run_loop
from training.meta.options import JobOptions
from training.meta.start_from import StartFrom
from training.meta.step import MetaTrainer
from training.runs.checkpoints import SafeCheckpoints
from training.runs.devices import is_chief, make_strategy
from training.runs.ends import NotSaved
from training.runs.folder import RunFolder
from training.runs.recognisers import check_metric
from training.runs.seen_people import SeenPeople, read_people_file, read_seen_people, write_people_file


def open_data(options: JobOptions) -> tuple[tf.distribute.Strategy, EpisodeDataset]:
    """The devices and the episodes, after a look at whether they suit each other and the config."""
    config = options.config
    strategy = make_strategy(options.strategy)
    episodes = EpisodeDataset(
        options.dataset,
        k_shot=config.train.k_shot,
        batch_size=config.train.batch_size,
        seed=options.seed,
        exclude_identities=options.exclude_identities,
        skip_short=True,
        on_damage=options.on_damage,
        mirror=config.train.mirror,
        stretch=config.train.stretch,
        color_jitter=config.train.color_jitter,
        crop_jitter=config.train.crop_jitter,
        shape_jitter=config.train.shape_jitter,
        photo_share=config.train.photo_share,
        borrowed_identity=config.model.borrowed_identity,
    )
    episodes.info.check_made_for(config)
    options.step_options.check_batch(config.train.batch_size, strategy.num_replicas_in_sync)
    return strategy, episodes


def train(options: JobOptions) -> int:
    """Runs the training. Returns the process's exit code."""
    strategy, episodes = open_data(options)
    options = options.in_steps(episodes.num_videos)
    config, precision = options.config, options.step_options.precision
    keras.utils.set_random_seed(options.seed)
    trainer = MetaTrainer(
        config, episodes.num_videos, lambda: options.content.build(config, precision), strategy, options.step_options
    )
    losses = [network.weights_source for network in trainer.content.values()]
    check_metric(options.recogniser, config.model.borrowed_identity, losses)
    folder, chief = RunFolder(options.run), is_chief(strategy)
    checkpoints = SafeCheckpoints(trainer.checkpoint, folder.checkpoints, options.keep_checkpoints, strategy)
    start = start_or_go_on(options, episodes, trainer, folder, checkpoints, chief)
    logging.info(
        "%s at step %d of %d: %d videos, %d replica(s), batch %d, K=%d",
        "continuing" if start else "starting",
        start,
        options.steps,
        episodes.num_videos,
        strategy.num_replicas_in_sync,
        config.train.batch_size,
        config.train.k_shot,
    )
    if start >= options.steps:
        logging.info("nothing to do: the run is at step %d", start)
        return 0
    if chief:
        folder.record_start(start_facts(start, options, strategy))
    with AgreedStop() if trainer.several_workers else StopRequest() as stop_request:
        batches = distribute(options, strategy, episodes, int(trainer.episodes.numpy()))
        step = run_loop(
            stepper(options, trainer, batches, stop_request),
            start,
            options.steps,
            make_hooks(options, trainer, episodes, folder, checkpoints, chief),
            stop_request,
        )
    return how_it_ended(step, options.steps, checkpoints, stop_request)


def start_or_go_on(
    options: JobOptions,
    episodes: EpisodeDataset,
    trainer: MetaTrainer,
    folder: RunFolder,
    checkpoints: SafeCheckpoints,
    chief: bool,
) -> int:
    """Begins the run folder, or checks that it is the same run and restores; returns the step."""
    facts, begin = run_facts(options, episodes, trainer), None
    if options.start_from and checkpoints.latest:
        # Its own checkpoints count; the one it began with may have gone.
        facts["start_from"] = folder.facts.get("start_from")
    elif options.start_from:
        begin = StartFrom.find(options.start_from, options.config, facts)
        facts["start_from"] = begin.facts
    folder.start(options.config, facts, write=chief)
    if chief:
        record_people(folder, episodes, begin)
    if not checkpoints.restore_newest() and begin:
        begin.restore(trainer)
    return int(trainer.step.numpy())


def record_people(folder: RunFolder, episodes: EpisodeDataset, begin: StartFrom | None) -> None:
    """Whom the run sees, and whom the networks had seen that it began with."""
    people = SeenPeople(frozenset(entry.identity for entry in episodes.entries), complete=True)
    if begin:
        people |= read_seen_people(begin.path)
    elif folder.facts.get("start_from"):
        people |= read_people_file(folder.path)
    write_people_file(folder.path, people)


def distribute(options: JobOptions, strategy, episodes: EpisodeDataset, start: int):
    """An iterator over the replicas' shares; each worker reads its own episodes only."""

    def make(context):
        return episodes.dataset(
            start,
            num_replicas=context.num_replicas_in_sync,
            pipeline=context.input_pipeline_id,
            num_pipelines=context.num_input_pipelines,
            deterministic=options.ordered_input,
            parallel_reads=options.parallel_reads,
        )

    return iter(strategy.distribute_datasets_from_function(make))


def stepper(options: JobOptions, trainer: MetaTrainer, batches, stop_request: StopRequest) -> Callable:
    """The function that `run_loop` calls: up to `steps_per_call` steps, ending on a multiple."""
    steps_per_call = options.step_options.steps_per_call

    def train_steps(step: int):
        count = min(steps_per_call - step % steps_per_call, options.steps - step)
        asked = stop_request.signal is not None
        if count == 1:
            return 1, trainer.train_step(next(batches), asked)
        return count, trainer.train_steps(batches, count, asked)

    return train_steps


def how_it_ended(step: int, steps: int, checkpoints: SafeCheckpoints, stop_request: StopRequest) -> int:
    """Says how the loop ended; returns the exit code."""
    if checkpoints.unsaved:
        logging.error("step %d is not saved: %s", step, checkpoints.unsaved)
        return NotSaved.exit_code
    if step < steps:
        number = stop_request.signal or signal.SIGTERM
        whose = signal.Signals(number).name + ("" if stop_request.signal else " of another worker")
        logging.warning("stopped by %s: step %d is saved; run again to go on", whose, step)
        return 128 + number
    logging.info("done: step %d, checkpoint %s", step, checkpoints.latest)
    return 0


def run_facts(options: JobOptions, episodes: EpisodeDataset, trainer: MetaTrainer) -> dict:
    """What a resumed run must agree on, for run.json."""
    return {
        "data_hash": episodes.data_hash,
        "num_videos": episodes.num_videos,
        "excluded_identities": sorted(options.exclude_identities),
        "seed": options.seed,
        "content_weights": {n: c.weights_source for n, c in trainer.content.items()},
    }


def start_facts(start: int, options: JobOptions, strategy) -> dict:
    """What may differ from start to start, for starts.jsonl."""
    step_options = options.step_options
    return {
        "step": start,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "replicas": strategy.num_replicas_in_sync,
        "devices": [d.device_type for d in tf.config.list_logical_devices()],
        "strategy": options.strategy,
        "mixed_precision": step_options.precision,
        "accumulate": step_options.accumulate,
        "recompute": step_options.recompute,
        "jit_compile": step_options.jit_compile,
        "steps_per_call": step_options.steps_per_call,
        "deterministic": options.deterministic,
    }
