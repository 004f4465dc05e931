"""Meta-learning on a dataset folder: `python -m training.meta_train --dataset DIR --run DIR`.

Started again with the same flags, it goes on from the newest checkpoint of the run folder. SIGTERM
and Ctrl-C save a checkpoint first. The same program with the same flags runs on every machine of
`--strategy=multi_worker`.

Exit codes: 0 done; 2 bad flags, config or data; 3 checkpoints can not be written; 4 diverged;
5 stopped by an alarm; 75 another worker was lost (start all of them again); 128 + n signal n.
"""

import datetime
import os
import signal
import sys
from collections.abc import Callable

import keras
import tensorflow as tf
from absl import app, flags, logging

from tf_talking.config import Config
from tf_talking.dataset.episodes import EpisodeDataset
from training import flags as content_flags
from training import meta_flags
from training.meta.hooks import make_hooks
from training.meta.loop import AgreedStop, StopRequest, run_loop
from training.meta.options import StepOptions
from training.meta.start_from import StartFrom
from training.meta.step import MetaTrainer
from training.plan.run_plan import describe, plan_run
from training.runs.checkpoints import SafeCheckpoints
from training.runs.devices import make_strategy, num_workers
from training.runs.ends import NotSaved, RunFailed
from training.runs.folder import RunFolder
from training.runs.worker import is_chief

FLAGS = flags.FLAGS
meta_flags.define_flags()
for module in (meta_flags, content_flags):
    flags.adopt_module_key_flags(module)  # so that --help lists them

LOST_WORKER = 75  # "temporary failure" in sysexits.h
# What a collective operation ends with where its peer is gone.
_LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.InternalError,
    tf.errors.DeadlineExceededError,
)


def distribute(strategy, episodes: EpisodeDataset, start: int):
    """An iterator over the replicas' shares; each worker reads its own episodes only."""

    def make(context):
        return episodes.dataset(
            start,
            num_replicas=context.num_replicas_in_sync,
            pipeline=context.input_pipeline_id,
            num_pipelines=context.num_input_pipelines,
            deterministic=FLAGS.ordered_input,
            parallel_reads=FLAGS.parallel_reads,
        )

    return iter(strategy.distribute_datasets_from_function(make))


def stepper(trainer: MetaTrainer, batches, stop_request: StopRequest) -> Callable:
    """The function that `run_loop` calls: up to `steps_per_call` steps, ending on a multiple."""

    def train_steps(step: int):
        count = min(FLAGS.steps_per_call - step % FLAGS.steps_per_call, FLAGS.steps - step)
        asked = stop_request.signal is not None
        if count == 1:
            return 1, trainer.train_step(next(batches), asked)
        return count, trainer.train_steps(batches, count, asked)

    return train_steps


def train(config: Config, options: StepOptions) -> int:
    """Runs the training. Returns the process's exit code."""
    strategy = make_strategy(FLAGS.strategy)
    episodes = EpisodeDataset(
        FLAGS.dataset,
        k_shot=config.train.k_shot,
        batch_size=config.train.batch_size,
        seed=FLAGS.seed,
        exclude_identities=FLAGS.exclude_identities,
        skip_short=True,
        on_damage=FLAGS.on_damage,
        mirror=config.train.mirror,
        stretch=config.train.stretch,
        color_jitter=config.train.color_jitter,
    )
    episodes.info.check_made_for(config)
    options.check_batch(config.train.batch_size, strategy.num_replicas_in_sync)
    if FLAGS.dry_run:
        print(describe(make_plan(config, options, episodes, strategy)))
        return 0
    keras.utils.set_random_seed(FLAGS.seed)
    trainer = MetaTrainer(
        config,
        episodes.num_videos,
        lambda: content_flags.build_content(config, options.precision),
        strategy,
        options,
    )
    folder, chief = RunFolder(FLAGS.run), is_chief(strategy)
    checkpoints = SafeCheckpoints(
        trainer.checkpoint, folder.checkpoints, FLAGS.keep_checkpoints, strategy
    )
    facts, begin = run_facts(episodes, trainer), None
    if FLAGS.start_from and checkpoints.latest:
        # Its own checkpoints count; the one it began with may have gone.
        facts["start_from"] = folder.facts.get("start_from")
    elif FLAGS.start_from:
        begin = StartFrom.find(FLAGS.start_from, config, facts)
        facts["start_from"] = begin.facts
    folder.start(config, facts, write=chief)
    if not checkpoints.restore_newest() and begin:
        begin.restore(trainer)
    start = int(trainer.step.numpy())
    logging.info(
        "%s at step %d of %d: %d videos, %d replica(s), batch %d, K=%d",
        "continuing" if start else "starting",
        start,
        FLAGS.steps,
        episodes.num_videos,
        strategy.num_replicas_in_sync,
        config.train.batch_size,
        config.train.k_shot,
    )
    if start >= FLAGS.steps:
        logging.info("nothing to do: the run is at step %d", start)
        return 0
    if chief:
        folder.record_start(start_facts(start, strategy))
    with AgreedStop() if trainer.several_workers else StopRequest() as stop_request:
        batches = distribute(strategy, episodes, int(trainer.episodes.numpy()))
        step = run_loop(
            stepper(trainer, batches, stop_request),
            start,
            FLAGS.steps,
            make_hooks(trainer, episodes, folder, checkpoints, chief),
            stop_request,
        )
    return how_it_ended(step, checkpoints, stop_request)


def how_it_ended(step: int, checkpoints: SafeCheckpoints, stop_request: StopRequest) -> int:
    """Says how the loop ended; returns the exit code."""
    if checkpoints.unsaved:
        logging.error("step %d is not saved: %s", step, checkpoints.unsaved)
        return NotSaved.exit_code
    if step < FLAGS.steps:
        number = stop_request.signal or signal.SIGTERM
        whose = signal.Signals(number).name + ("" if stop_request.signal else " of another worker")
        logging.warning("stopped by %s: step %d is saved; run again to go on", whose, step)
        return 128 + number
    logging.info("done: step %d, checkpoint %s", step, checkpoints.latest)
    return 0


def make_plan(config: Config, options: StepOptions, episodes: EpisodeDataset, strategy):
    """What --dry_run tells."""
    return plan_run(
        config,
        episodes.num_videos,
        num_frames=sum(entry.num_frames for entry in episodes.entries),
        replicas=strategy.num_replicas_in_sync,
        workers=num_workers(strategy),
        accumulate=options.accumulate,
        precision=options.precision,
        recompute=options.recompute,
        steps_per_call=FLAGS.steps_per_call,
    )


def run_facts(episodes: EpisodeDataset, trainer: MetaTrainer) -> dict:
    """What a resumed run must agree on, for run.json."""
    return {
        "data_hash": episodes.data_hash,
        "num_videos": episodes.num_videos,
        "excluded_identities": sorted(FLAGS.exclude_identities),
        "seed": FLAGS.seed,
        "content_weights": {n: c.weights_source for n, c in trainer.content.items()},
    }


def start_facts(start: int, strategy) -> dict:
    """What may differ from start to start, for starts.jsonl."""
    names = ("strategy", "mixed_precision", "accumulate", "recompute", "jit_compile")
    return {
        "step": start,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "replicas": strategy.num_replicas_in_sync,
        "devices": [d.device_type for d in tf.config.list_logical_devices()],
        **{name: FLAGS[name].value for name in (*names, "steps_per_call", "deterministic")},
    }


def run_program() -> int:
    """Trains and turns every end that has an explanation into a line of the log and a code."""
    try:
        options = meta_flags.step_options()
        return train(meta_flags.resolve_config(), options)
    except RunFailed as error:
        logging.error("%s", error)
        return error.exit_code
    except (ValueError, FileNotFoundError) as error:
        logging.error("%s", error)
        return 2
    except tf.errors.InvalidArgumentError as error:
        damage = [line for line in str(error).splitlines() if "record at byte" in line]
        if not damage:
            raise
        logging.error("%s; repair the shard, or train with --on_damage=skip", damage[0])
        return 2
    except _LOST_WORKER_ERRORS as error:
        if FLAGS.strategy != "multi_worker":
            raise
        logging.error(
            "another worker was lost (%s); start all workers again, they go on from the newest "
            "checkpoint",
            str(error).splitlines()[0],
        )
        return LOST_WORKER


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    if not FLAGS.run and not FLAGS.dry_run:
        raise app.UsageError("--run is missing: the folder that the run is written to")
    logging.set_verbosity(logging.INFO)
    tf.get_logger().setLevel("WARNING")  # it tells of every collective operation it builds
    if not tf.config.list_physical_devices("GPU"):
        # On a CPU it gives up on this graph with an error line; the step takes as long without it.
        tf.config.optimizer.set_experimental_options({"remapping": False})
    if FLAGS.deterministic:
        tf.config.experimental.enable_op_determinism()
    code = run_program()
    if code == LOST_WORKER:
        # Threads of the broken collective would wait for their peers for ever.
        logging.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    app.run(main)
