"""Parameter counts of the networks of a config, from its plan: nothing is built."""

from collections.abc import Iterator, Sequence

from tf_talking.config import ModelConfig
from tf_talking.config.plan import BlockPlan

Kernel = tuple[int, int, bool]  # rows (what one output sums over), columns (outputs), with a bias


def count_parameters(config: ModelConfig) -> dict[str, int]:
    """Trainable parameters of the networks by name.

    W is not among them: it has M rows of `embedding_size`. `spectral_vectors` are the vectors u
    and v of spectral norm, which are saved but not trained.
    """
    plan = config.plan()
    width = plan.generator[-1].outputs
    generator, others = _kernels(plan.generator), _other_weights(plan.generator)
    generator.append((9 * width, 3, True))
    projection = (config.person_size, config.adain_size, True)
    normalized = [*generator, projection] if config.spectral_norm_on_projection else generator
    down, features = (_kernels(blocks) for blocks in (plan.down, (*plan.down, plan.last)))
    counts = {
        "generator_with_projection": _weights([*generator, projection]) + others,
        "projection": _weights([projection]),
        "generator_spectral_vectors": _vectors(normalized),
        "embedder": _weights(down) + _other_weights(plan.down),
        "embedder_spectral_vectors": _vectors(down),
        "discriminator_features": _weights(features) + _other_weights(plan.down),
        "discriminator_spectral_vectors": _vectors(features),
    }
    if not config.spectral_norm:
        counts |= {name: 0 for name in counts if name.endswith("_spectral_vectors")}
    return counts


def _kernels(blocks: Sequence[BlockPlan]) -> list[Kernel]:
    return [kernel for block in blocks for kernel in _kernels_of(block)]


def _kernels_of(block: BlockPlan) -> Iterator[Kernel]:
    width, bias = block.outputs, block.norm is None
    yield 9 * block.inputs, width, bias
    yield 9 * width, width, bias
    if block.has_skip:
        yield block.inputs, width, True
    if block.attention:  # query, key, value, output
        yield from ((width, width // 8, True), (width, width // 8, True))
        yield from ((width, width // 2, True), (width // 2, width, True))


def _other_weights(blocks: Sequence[BlockPlan]) -> int:
    """Scales and shifts of instance norms, gates of attention."""
    normed = [block for block in blocks if block.norm == "instance"]
    channels = sum(block.outputs + (0 if block.first else block.inputs) for block in normed)
    return 2 * channels + sum(block.attention for block in blocks)


def _weights(kernels: Sequence[Kernel]) -> int:
    return sum(rows * columns + (columns if bias else 0) for rows, columns, bias in kernels)


def _vectors(kernels: Sequence[Kernel]) -> int:
    return sum(rows + columns for rows, columns, _ in kernels)
