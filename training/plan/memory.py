"""What a training step needs in memory, computed from shapes: nothing is built or run.

Counted exactly: weights, EMA copies, gradients, Adam's moments, W (M×N) with its moments, the
frozen content networks. Estimated: what the backward pass of the step's first pass, through all
networks, keeps of the forward pass, the gradients of the largest layer on the way back, and the
step's graph, which is host memory (measured once, GRAPH_BYTES). Left out: the libraries
themselves (0.6 GB once imported; on a GPU also CUDA's context and cuDNN's workspaces), what the
allocator wastes, the queue of the input pipeline, previews and the buffers of a checkpoint.

Per replica: each one holds all weights and its share of the batch.
"""

import dataclasses

from tf_talking.config import Config
from tf_talking.networks.parameters import count_parameters
from training.plan.activations import FLOAT32, PRECISIONS, activation_bytes, content_networks

GRAPH_BYTES = 600 * 2**20  # 20,000 operations, as traced, optimised and partitioned


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one replica by what they hold.

    Attributes:
      exact: name → bytes that follow from parameter counts.
      estimated: name → bytes of the first pass.
      graph: bytes of host memory, whatever the device.
    """

    exact: dict[str, int]
    estimated: dict[str, int]
    graph: int

    @property
    def device(self) -> int:
        """Bytes without the graph: what a GPU must have, beside its libraries."""
        return sum(self.exact.values()) + sum(self.estimated.values())

    @property
    def total(self) -> int:
        """Bytes with the graph: what a run on the CPU takes."""
        return self.device + self.graph

    def table(self) -> str:
        """Lines of name and MiB, with sums."""

        def rows(sizes: dict[str, int]) -> list[str]:
            return [f"    {name:<32}{size / 2**20:10,.0f} MiB" for name, size in sizes.items()]

        sums = {"on the device": self.device, "with the step's graph (host)": self.total}
        return "\n".join(
            ["  from parameter counts", *rows(self.exact)]
            + ["  kept for the backward pass, estimated", *rows(self.estimated)]
            + ["  sum", *rows(sums)]
        )


def estimate_memory(
    config: Config,
    num_videos: int,
    counts: dict[str, int] | None = None,
    *,
    replicas: int = 1,
    accumulate: int = 1,
    precision: str = "float32",
    recompute: bool = False,
    steps_per_call: int = 1,
) -> MemoryEstimate:
    """Memory of a meta-training step on one replica.

    Args:
      config: the resolved config; terms of weight 0 need no content network.
      num_videos: M.
      counts: from `tf_talking.networks.parameters.count_parameters`, where the caller has them.
      replicas: over all workers; train.batch_size is split over them.
      accumulate: parts in which a replica computes its share of the batch, one after the other.
      precision: compute type, one of PRECISIONS; weights stay float32 in any case.
      recompute: whether activations are computed again on the way back.
      steps_per_call: batches that wait on the device.

    Raises:
      ValueError: unknown precision, or a batch that can not be split so.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision: got {precision!r}, expected one of {list(PRECISIONS)}")
    parts = replicas * accumulate
    if config.train.batch_size % parts:
        raise ValueError(
            f"train.batch_size: got {config.train.batch_size}, expected a multiple of {parts} "
            f"({replicas} replicas x {accumulate} accumulated parts)"
        )
    counts = counts or count_parameters(config.model)
    size = config.model.embedding_size
    generator = counts["embedder"] + counts["generator_with_projection"]
    discriminator = counts["discriminator_features"] + size + 1  # w0 and b
    vectors = sum(n for name, n in counts.items() if name.endswith("_spectral_vectors"))
    share = config.train.batch_size // replicas
    low = FLOAT32 if precision == "float32" else 2
    frames = config.model.image_size**2 * 3 * (config.train.k_shot + 1)
    exact = {
        "weights of E, G, D": FLOAT32 * (generator + discriminator + vectors),
        "EMA of E and G": FLOAT32 * generator,
        "Adam's moments of E, G, D": 2 * FLOAT32 * (generator + discriminator),
        "W and its moments": 3 * FLOAT32 * num_videos * size,
        "gradients": FLOAT32 * (generator + (discriminator if accumulate > 1 else 0)),
        "kernels divided by sigma": low * (generator + discriminator),
        "batches that wait": steps_per_call * share * frames,
    }
    content = {f"{name}, frozen": FLOAT32 * n for name, n, _, _ in content_networks(config)}
    batch = share // accumulate
    activations = activation_bytes(config, batch, precision, recompute)
    return MemoryEstimate(exact | content, activations, GRAPH_BYTES)
