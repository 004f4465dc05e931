"""Meta-learning on a dataset folder: `python -m training.meta_train --dataset DIR --run DIR`.

Started again with the same flags, it goes on from the newest checkpoint of the run folder. SIGTERM
and Ctrl-C save a checkpoint first. The same program with the same flags runs on every machine of
`--strategy=multi_worker`.

Exit codes: 0 done; 2 bad flags, config or data; 3 checkpoints can not be written; 4 diverged;
5 stopped by an alarm; 75 another worker was lost (start all of them again); 128 + n signal n.
"""

import dataclasses
import os
import pathlib

import tensorflow as tf
from absl import app, flags, logging

from tf_talking import program
from tf_talking.config import PRESETS, Config, from_json, get_preset
from tf_talking.config.overrides import apply_overrides
from training import flags as shared_flags
from training.meta.job import open_data, train
from training.meta.options import PRECISIONS, JobOptions, StepOptions
from training.plan.run_plan import describe, plan_run
from training.runs.devices import STRATEGIES, num_workers
from training.updates.precision import AUTO, choose_precision
from training.watch.rules import RULES

FLAGS = flags.FLAGS
LOST_WORKER = 75  # "temporary failure" in sysexits.h
# What a collective operation ends with where its peer is gone.
_LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.InternalError,
    tf.errors.DeadlineExceededError,
)


# Flags that are numbers from 1 on: default, meaning.
_COUNTS = {
    "steps": (100_000, "Train until this step."),
    "accumulate": (1, "Parts of a batch that go through one by one: same result, less memory."),
    "steps_per_call": (1, "Steps in one call from the host."),
    "parallel_reads": (16, "Records read at once."),
    "log_every": (50, "Steps between logged scalars."),
    "preview_every": (1000, "Steps between previews."),
    "checkpoint_every": (1000, "Steps between checkpoints."),
    "watch_every": (500, "Steps between two looks for collapse."),
    "keep_checkpoints": (3, "Newest checkpoints kept."),
    "held_out_people": (8, "People kept out who are looked at."),
    "max_skipped": (20, "Steps in a row with an update left out, then back to a checkpoint."),
}


def define_flags() -> None:
    """Defines every flag of the program."""
    shared_flags.define_content_flags()
    flags.DEFINE_multi_string(
        "dataset",
        None,
        "Dataset folder of training.preprocess, on any path that TensorFlow knows; repeatable.",
        required=True,
    )
    flags.DEFINE_string("run", None, "Run folder; created, or continued where it exists.")
    flags.DEFINE_string(
        "start_from",
        None,
        "Run folder, checkpoint or bundle whose networks a new run begins with, with "
        "a config of the same networks; W too where the videos are the same.",
    )
    flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Named configuration.")
    flags.DEFINE_string("config", None, "config.json to use instead of a preset.")
    flags.DEFINE_multi_string("override", [], "section.field=value, e.g. train.batch_size=4.")
    for name, (default, meaning) in _COUNTS.items():
        flags.DEFINE_integer(name, default, meaning, lower_bound=1)
    flags.DEFINE_integer(
        "epochs", None, "Instead of --steps: as often each video is drawn (the paper: 75; 150 for FF).", lower_bound=1
    )
    flags.DEFINE_integer("seed", 0, "Seed of weights and episodes.", lower_bound=0)
    flags.DEFINE_list("exclude_identities", [], "People kept out of training; shown in previews.")
    flags.DEFINE_integer(
        "held_out_every",
        0,
        "Steps between two looks at how feed-forward does on people kept out (of the first "
        "--dataset); the best checkpoint is kept in the run's best/. 0: none.",
        lower_bound=0,
    )
    flags.DEFINE_string("recogniser", None, "For CSIM in those looks: see training.evaluate. Never the loss's own.")
    flags.DEFINE_bool("dry_run", False, "Print config, parameters, memory and steps; do not train.")
    flags.DEFINE_enum(
        "strategy", "mirrored", STRATEGIES, "Devices: one; all GPUs of this machine; several machines (TF_CONFIG)."
    )
    flags.DEFINE_enum(
        "mixed_precision",
        None,
        (AUTO, *PRECISIONS),
        "Type of the activations; weights, norms' statistics, W and losses stay float32. auto: "
        "bfloat16 where it pays, the default of presets for small budgets; of others: float32.",
    )
    flags.DEFINE_bool("recompute", False, "Recompute activations in the backward pass.")
    flags.DEFINE_bool(
        "jit_compile", False, "Compile the step with XLA; whole with --strategy=one_device, else pass by pass."
    )
    flags.DEFINE_enum(
        "on_damage", "raise", ["raise", "skip"], "Damaged records and missing shards: end, or pass over and count."
    )
    flags.DEFINE_bool("ordered_input", True, "False: episodes as they become ready; resuming is not exact.")
    flags.DEFINE_integer("watch_grace", None, "Steps without alarms; default: 0.25 / learning rate.", lower_bound=0)
    flags.DEFINE_list("stop_on_alarm", [], f"Alarms that end the run: {', '.join(sorted(RULES))}.")
    flags.DEFINE_integer("max_rollbacks", 3, "Returns to one checkpoint before the run is given up.", lower_bound=0)
    flags.DEFINE_bool("preview_film", True, "Also write previews as MP4.")
    flags.DEFINE_bool("deterministic", False, "Same result bit by bit in every run; slower.")


def resolve_config() -> Config:
    """Preset or file, then overrides, then what the weight flags leave out."""
    if FLAGS.config:
        config = from_json(pathlib.Path(FLAGS.config).read_text(), FLAGS.config)
    else:
        config = get_preset(FLAGS.preset)
    return shared_flags.content_files().resolve(apply_overrides(config, FLAGS.override))


def job_options() -> JobOptions:
    """What the flags say. Raises ValueError where they do not fit one another."""
    if FLAGS.epochs and FLAGS["steps"].present:
        raise app.UsageError("got both --epochs and --steps, expected one of them")
    config = resolve_config()
    read = {
        "config": config,
        "content": shared_flags.content_files(),
        "step_options": StepOptions(
            choose_precision(FLAGS.mixed_precision, config),
            FLAGS.accumulate,
            FLAGS.recompute,
            FLAGS.jit_compile,
            FLAGS.steps_per_call,
        ),
    }
    same = [f.name for f in dataclasses.fields(JobOptions) if f.name not in read]
    return JobOptions(**read, **{name: FLAGS[name].value for name in same})


def describe_run(options: JobOptions) -> str:
    """What --dry_run tells."""
    strategy, episodes = open_data(options)
    plan = plan_run(
        options.config,
        episodes.num_videos,
        options.step_options,
        num_frames=sum(entry.num_frames for entry in episodes.entries),
        replicas=strategy.num_replicas_in_sync,
        workers=num_workers(strategy),
    )
    return describe(plan)


def main(argv):
    if not FLAGS.run and not FLAGS.dry_run:
        raise app.UsageError("--run is missing: the folder that the run is written to")
    tf.get_logger().setLevel("WARNING")  # it tells of every collective operation it builds
    if not tf.config.list_physical_devices("GPU"):
        # On a CPU it gives up on this graph with an error line; the step takes as long without it.
        tf.config.optimizer.set_experimental_options({"remapping": False})
    if FLAGS.deterministic:
        tf.config.experimental.enable_op_determinism()
    options = job_options()
    try:
        return describe_run(options) if FLAGS.dry_run else train(options)
    except tf.errors.InvalidArgumentError as error:
        damage = [line for line in str(error).splitlines() if "record at byte" in line]
        if not damage:
            raise
        advice = "repair the shard, or train with --on_damage=skip"
        raise ValueError(f"{damage[0]}; {advice}") from error
    except _LOST_WORKER_ERRORS as error:
        if FLAGS.strategy != "multi_worker":
            raise
        logging.error(
            "another worker was lost (%s); start all workers again, they go on from the newest checkpoint",
            str(error).splitlines()[0],
        )
        # Threads of the broken collective would wait for their peers for ever.
        logging.flush()
        os._exit(LOST_WORKER)


if __name__ == "__main__":
    program.run(main, define_flags)
