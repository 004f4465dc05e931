"""The flags of `training.meta_train`, and what they say together."""

import pathlib

from absl import flags

from tf_talking.config import PRESETS, Config, from_json, get_preset
from tf_talking.config.overrides import apply_overrides
from training import flags as content_flags
from training.meta.options import PRECISIONS, StepOptions
from training.runs.devices import STRATEGIES
from training.watch.rules import RULES

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines every flag of the program."""
    content_flags.define_content_flags()
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
        "Run folder or checkpoint whose networks a new run begins with, with "
        "a config of the same networks; W too where the videos are the same.",
    )
    flags.DEFINE_enum("preset", "paper", sorted(PRESETS), "Named configuration.")
    flags.DEFINE_string("config", None, "config.json to use instead of a preset.")
    flags.DEFINE_multi_string("override", [], "section.field=value, e.g. train.batch_size=4.")
    flags.DEFINE_integer("steps", 100_000, "Train until this step.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Seed of weights and episodes.", lower_bound=0)
    flags.DEFINE_list("exclude_identities", [], "People kept out of training; shown in previews.")
    flags.DEFINE_bool(
        "dry_run", False, "Print config, parameters, memory, steps an epoch; do not train."
    )
    _define_step_flags()
    _define_data_flags()
    _define_watch_flags()
    for name, default, what in (
        ("log_every", 50, "logged scalars"),
        ("preview_every", 1000, "previews"),
        ("checkpoint_every", 1000, "checkpoints"),
        ("watch_every", 500, "two looks for collapse"),
    ):
        flags.DEFINE_integer(name, default, f"Steps between {what}.", lower_bound=1)
    flags.DEFINE_integer("keep_checkpoints", 3, "Newest checkpoints kept.", lower_bound=1)
    flags.DEFINE_bool("preview_film", True, "Also write previews as MP4.")
    flags.DEFINE_bool("deterministic", False, "Same result bit by bit in every run; slower.")


def _define_step_flags() -> None:
    flags.DEFINE_enum(
        "strategy",
        "mirrored",
        STRATEGIES,
        "Devices: one; all GPUs of this machine; several machines (TF_CONFIG).",
    )
    flags.DEFINE_enum(
        "mixed_precision",
        "float32",
        PRECISIONS,
        "Type of the activations; weights, norms' statistics, W and losses stay float32.",
    )
    flags.DEFINE_integer(
        "accumulate",
        1,
        "Parts of a batch that go through the networks one after the other: same "
        "result, less memory.",
        lower_bound=1,
    )
    flags.DEFINE_bool("recompute", False, "Recompute activations in the backward pass.")
    flags.DEFINE_bool(
        "jit_compile",
        False,
        "Compile the step with XLA; whole with --strategy=one_device, else pass by pass.",
    )
    flags.DEFINE_integer("steps_per_call", 1, "Steps in one call from the host.", lower_bound=1)


def _define_data_flags() -> None:
    flags.DEFINE_enum(
        "on_damage",
        "raise",
        ["raise", "skip"],
        "Damaged records and missing shards: end, or pass over and count.",
    )
    flags.DEFINE_bool(
        "ordered_input", True, "False: episodes as they become ready; resuming is not exact."
    )
    flags.DEFINE_integer("parallel_reads", 16, "Records read at once.", lower_bound=1)


def _define_watch_flags() -> None:
    flags.DEFINE_integer(
        "watch_grace", None, "Steps without alarms; default: 0.25 / learning rate.", lower_bound=0
    )
    flags.DEFINE_list("stop_on_alarm", [], f"Alarms that end the run: {', '.join(sorted(RULES))}.")
    flags.DEFINE_integer(
        "max_skipped",
        20,
        "Steps in a row with an update left out, before the run goes back to a checkpoint.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "max_rollbacks", 3, "Returns to one checkpoint before the run is given up.", lower_bound=0
    )


def resolve_config() -> Config:
    """Preset or file, then overrides, then what the weight flags leave out."""
    if FLAGS.config:
        config = from_json(pathlib.Path(FLAGS.config).read_text(), FLAGS.config)
    else:
        config = get_preset(FLAGS.preset)
    return content_flags.resolve_content(apply_overrides(config, FLAGS.override))


def step_options() -> StepOptions:
    """How a step is computed. Raises ValueError where periods and steps per call do not fit."""
    for name in ("log_every", "preview_every", "checkpoint_every", "watch_every"):
        if FLAGS[name].value % FLAGS.steps_per_call:
            raise ValueError(
                f"--{name}: got {FLAGS[name].value}, expected a multiple of "
                f"--steps_per_call={FLAGS.steps_per_call}: between two calls nothing is seen"
            )
    return StepOptions(FLAGS.mixed_precision, FLAGS.accumulate, FLAGS.recompute, FLAGS.jit_compile)
