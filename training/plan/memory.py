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
from training.meta.options import StepOptions
from training.plan.activations import FLOAT32, activation_bytes, content_networks

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
    options: StepOptions | None = None,
    replicas: int = 1,
) -> MemoryEstimate:
    """Memory of a meta-training step on one replica.

    Args:
      config: the resolved config; terms of weight 0 need no content network.
      num_videos: M.
      counts: from `tf_talking.networks.parameters.count_parameters`, where the caller has them.
      options: how a step is computed; default: `StepOptions()`.
      replicas: over all workers; train.batch_size is split over them.

    Raises:
      ValueError: a batch that can not be split so.
    """
    options = options or StepOptions()
    options.check_batch(config.train.batch_size, replicas)
    counts = counts or count_parameters(config.model)
    trained = _trained(config, num_videos, counts)
    share = config.train.batch_size // replicas
    low = FLOAT32 if options.precision == "float32" else 2
    frames = config.model.image_size**2 * 3 * (config.train.k_shot + 1)
    networks = trained["generator"] + trained["discriminator"]
    accumulated = trained["discriminator"] if options.accumulate > 1 else 0
    exact = {
        "weights of E, G, D": FLOAT32 * (networks + trained["vectors"]),
        "EMA of E and G": FLOAT32 * trained["generator"],
        "Adam's moments of E, G, D": 2 * FLOAT32 * networks,
        "W and its moments": 3 * FLOAT32 * trained["w"],
        "gradients": FLOAT32 * (trained["generator"] + accumulated),
        "kernels divided by sigma": low * networks,
        "batches that wait": options.steps_per_call * share * frames,
    }
    content = {f"{name}, frozen": FLOAT32 * n for name, n, _, _ in content_networks(config)}
    batch = share // options.accumulate
    activations = activation_bytes(config, batch, options.precision, options.recompute)
    return MemoryEstimate(exact | content, activations, GRAPH_BYTES)


def checkpoint_bytes(config: Config, num_videos: int, counts: dict[str, int]) -> int:
    """Size of one checkpoint: networks, EMA copies, W, and two moments of all that is trained."""
    trained = _trained(config, num_videos, counts)
    vectors = trained["vectors"] + trained["generator_vectors"]  # in the EMA copies too
    if config.model.spectral_norm_on_w:
        vectors += config.model.embedding_size + num_videos
    updated_by_d = trained["discriminator"] + trained["w"]
    return FLOAT32 * (4 * trained["generator"] + 3 * updated_by_d + vectors)


def _trained(config: Config, num_videos: int, counts: dict[str, int]) -> dict[str, int]:
    """Numbers in E, G and P; in V, w0 and b; in W; in u and v of E and G, and of all three."""
    size = config.model.embedding_size
    vectors = counts["embedder_spectral_vectors"] + counts["generator_spectral_vectors"]
    return {
        "generator": counts["embedder"] + counts["generator_with_projection"],
        "discriminator": counts["discriminator_features"] + size + 1,
        "w": num_videos * size,
        "generator_vectors": vectors,
        "vectors": vectors + counts["discriminator_spectral_vectors"],
    }
