"""What a meta-training job is told, as plain values: how a step is computed, and all the rest."""

import dataclasses

from tf_talking.config import Config
from training.updates.content import ContentFiles

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class StepOptions:
    """How the compiled step is computed; none of it changes what is computed beyond rounding.

    Attributes:
      precision: type of the activations of all networks. Weights, their moments, σ, statistics of
        norms, W and losses are float32. float16 brings a dynamic loss scale.
      accumulate: N; the batch goes through the networks in N parts, their gradients are summed and
        applied once: the memory of a batch a N-th as large, the result of the whole batch.
      recompute: activations inside a block are computed again for the backward pass.
      jit_compile: the step is compiled by XLA: as a whole under a strategy of one device; under a
        mirrored one, the passes through the networks, with reduction and update between them.
      steps_per_call: steps in one call from the host.
    """

    precision: str = "float32"
    accumulate: int = 1
    recompute: bool = False
    jit_compile: bool = False
    steps_per_call: int = 1

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: got {self.precision!r}, expected one of {PRECISIONS}")
        for name in ("accumulate", "steps_per_call"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected at least 1")

    def check_batch(self, batch_size: int, replicas: int) -> None:
        """Raises ValueError unless every replica gets whole parts of the batch."""
        if batch_size % (replicas * self.accumulate):
            raise ValueError(
                f"train.batch_size: got {batch_size}, expected a multiple of {replicas} replicas "
                f"x {self.accumulate} parts (accumulate)"
            )


@dataclasses.dataclass(frozen=True)
class JobOptions:
    """A meta-training job; fields are what the flags of `training.meta_train` say.

    Attributes:
      config: the resolved config.
      step_options: how a step is computed.
      content: weight files of the content loss.
      epochs: instead of `steps`: as often each video is drawn; None: `steps` counts.
    """

    config: Config
    step_options: StepOptions
    content: ContentFiles
    dataset: list[str]
    run: str | None
    start_from: str | None
    steps: int
    seed: int
    exclude_identities: list[str]
    strategy: str
    deterministic: bool
    on_damage: str
    ordered_input: bool
    parallel_reads: int
    log_every: int
    preview_every: int
    checkpoint_every: int
    watch_every: int
    keep_checkpoints: int
    preview_film: bool
    watch_grace: int | None
    stop_on_alarm: list[str]
    max_skipped: int
    max_rollbacks: int
    held_out_every: int = 0
    held_out_people: int = 8
    recogniser: str | None = None
    epochs: int | None = None

    def in_steps(self, num_videos: int) -> "JobOptions":
        """The same job with its epochs as steps."""
        if self.epochs is None:
            return self
        steps = -(-self.epochs * num_videos // self.config.train.batch_size)
        return dataclasses.replace(self, steps=steps, epochs=None)

    def __post_init__(self):
        steps_per_call = self.step_options.steps_per_call
        if self.held_out_every and not self.exclude_identities:
            raise ValueError("held_out_every: needs people kept out (exclude_identities)")
        decay_steps = self.config.train.decay_steps
        if self.epochs is None and 0 < decay_steps < self.steps:
            raise ValueError(
                f"steps: got {self.steps}, but from step {decay_steps} on E and G stand still "
                f"(train.decay_steps); give --steps={decay_steps} or --override=train.decay_steps={self.steps}"
            )
        intervals = ("log_every", "preview_every", "checkpoint_every", "watch_every")
        for name in (*intervals, "held_out_every"):
            if getattr(self, name) % steps_per_call:
                raise ValueError(
                    f"{name}: got {getattr(self, name)}, expected a multiple of "
                    f"steps_per_call={steps_per_call}: between two calls nothing is seen"
                )
