"""What a meta-training run would be, without starting it: for `--dry_run`.

    print(describe(plan_run(config, num_videos, StepOptions("bfloat16"), replicas=8)))

Takes seconds: the three networks are built once to count their parameters; no step is.
"""

import dataclasses

from tf_talking.config import Config, to_json
from tf_talking.networks.parameters import count_parameters
from training.meta.options import StepOptions
from training.plan.activations import FLOAT32, content_networks
from training.plan.memory import MemoryEstimate, checkpoint_bytes, estimate_memory


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """A run in figures.

    Attributes:
      config: the resolved config.
      num_videos: M.
      num_frames: frames in all videos, or None where nobody counted.
      replicas, workers: replicas over all workers, and workers.
      options: of the step.
      parameters: name → count, from `count_parameters`.
      memory: of one replica.
      steps_per_epoch: steps until every video was drawn once; the last one may run over.
      checkpoint_bytes: size of one checkpoint on disk.
    """

    config: Config
    num_videos: int
    num_frames: int | None
    replicas: int
    workers: int
    options: StepOptions
    parameters: dict[str, int]
    memory: MemoryEstimate
    steps_per_epoch: int
    checkpoint_bytes: int


def plan_run(
    config: Config,
    num_videos: int,
    options: StepOptions | None = None,
    *,
    num_frames: int | None = None,
    replicas: int = 1,
    workers: int = 1,
) -> RunPlan:
    """Works out the figures of a run.

    Args:
      config: the resolved config; train.batch_size is the episodes of one step over all replicas.
      num_videos: M, videos that are trained on.
      options: how a step is computed; default: `StepOptions()`.
      num_frames: their frames.
      replicas: over all workers.
      workers: processes of tf.distribute.MultiWorkerMirroredStrategy.

    Raises:
      ValueError: a number below 1, or a batch that can not be split so.
    """
    options = options or StepOptions()
    numbers = {"num_videos": num_videos, "replicas": replicas, "workers": workers}
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name}: got {number}, expected at least 1")
    parameters = count_parameters(config.model)
    return RunPlan(
        config,
        num_videos,
        num_frames,
        replicas,
        workers,
        options,
        parameters,
        estimate_memory(config, num_videos, parameters, options, replicas),
        -(-num_videos // config.train.batch_size),
        checkpoint_bytes(config, num_videos, parameters),
    )


def describe(plan: RunPlan) -> str:
    """The plan as text: config, parameters, W, memory, steps, disk."""
    config, train, counts = plan.config, plan.config.train, plan.parameters
    options = plan.options
    size = config.model.embedding_size
    share = train.batch_size // plan.replicas
    lines = [
        "Config",
        to_json(config).rstrip(),
        "",
        "Data",
        f"  {plan.num_videos:,} videos" + (f", {plan.num_frames:,} frames" if plan.num_frames is not None else ""),
        "",
        "Step",
        f"  {train.batch_size} episodes of {train.k_shot} + 1 frames on {plan.replicas} replica(s) "
        f"of {plan.workers} worker(s): {share} on each, in {options.accumulate} part(s)",
        f"  {options.precision}, activations {'computed again' if options.recompute else 'kept'}, "
        f"{options.steps_per_call} step(s) a call, {train.discriminator_steps} update(s) of D",
        f"  {plan.steps_per_epoch:,} steps an epoch (each video drawn once)",
        "",
        "Parameters",
        *_counts(
            {
                "embedder E": counts["embedder"],
                "generator G with P": counts["generator_with_projection"],
                "  of which P": counts["projection"],
                "discriminator V": counts["discriminator_features"],
                f"W, {plan.num_videos:,} x {size}": plan.num_videos * size,
            }
        ),
        *_counts({f"{name}, frozen": n for name, n, _, _ in content_networks(config)}),
        f"  W with Adam's two moments: {3 * FLOAT32 * plan.num_videos * size / 2**20:,.0f} MiB",
        "",
        "Memory of one replica; not in it: libraries, allocator, input queue, previews",
        plan.memory.table(),
        "",
        f"Disk: {plan.checkpoint_bytes / 2**20:,.0f} MiB a checkpoint",
    ]
    return "\n".join(lines)


def _counts(rows: dict[str, int]) -> list[str]:
    return [f"  {name:<34}{number:16,}" for name, number in rows.items()]
