"""How a training step is computed; none of it changes what is computed beyond rounding."""

import dataclasses

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class StepOptions:
    """Options of the compiled meta-training step.

    Attributes:
      precision: type of the activations of all networks. Weights, their moments, σ, statistics of
        norms, W and losses are float32. float16 brings a dynamic loss scale.
      accumulate: N; the batch goes through the networks in N parts, their gradients are summed and
        applied once: the memory of a batch a N-th as large, the result of the whole batch.
      recompute: activations inside a block are computed again for the backward pass.
      jit_compile: the step is compiled by XLA: as a whole under a strategy of one device; under a
        mirrored one, the passes through the networks, with reduction and update between them.
    """

    precision: str = "float32"
    accumulate: int = 1
    recompute: bool = False
    jit_compile: bool = False

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: got {self.precision!r}, expected one of {PRECISIONS}")
        if self.accumulate < 1:
            raise ValueError(f"accumulate: got {self.accumulate}, expected at least 1")

    def check_batch(self, batch_size: int, replicas: int) -> None:
        """Raises ValueError unless every replica gets whole parts of the batch."""
        if batch_size % (replicas * self.accumulate):
            raise ValueError(
                f"train.batch_size: got {batch_size}, expected a multiple of {replicas} replicas "
                f"x {self.accumulate} parts (--accumulate)"
            )
