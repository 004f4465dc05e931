"""What the networks are made of, block by block: said here once, walked by whoever needs it.

The networks are built along these lists, their frozen graphs drawn, their parameters and the
memory of a training step counted, and ψ split.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class BlockPlan:
    """One residual block, and the self-attention behind it where there is one.

    Attributes:
      name: e.g. "down0".
      inputs, outputs: channels.
      size: side of its input, pixels.
      resample: None, "down" or "up".
      norm: None, "instance" or "adaptive".
      first: of its network: without leading norm and ReLU.
      attention: whether self-attention follows.
    """

    name: str
    inputs: int
    outputs: int
    size: int
    resample: str | None = None
    norm: str | None = None
    first: bool = False
    attention: bool = False

    @property
    def output_size(self) -> int:
        """Side of its output, pixels."""
        return {"down": self.size // 2, "up": self.size * 2}.get(self.resample, self.size)

    @property
    def has_skip(self) -> bool:
        """Whether its shortcut is a 1×1 convolution: where the shape changes."""
        return self.resample is not None or self.inputs != self.outputs


@dataclasses.dataclass(frozen=True)
class NetworkPlan:
    """The blocks of all networks of a `ModelConfig`.

    Attributes:
      down: of E and of V, which see landmark image and frame, 6 channels.
      last: V's own, behind those.
      generator: of G; a norm, ReLU and a 3×3 convolution to 3 channels follow.
    """

    down: tuple[BlockPlan, ...]
    last: BlockPlan
    generator: tuple[BlockPlan, ...]

    @property
    def adain_channels(self) -> tuple[int, ...]:
        """Channels of each AdaIN layer of G in forward order, the one behind the blocks last."""
        adaptive = [block for block in self.generator if block.norm == "adaptive"]
        channels = [c for block in adaptive for c in (block.inputs, block.outputs)]
        return (*channels, self.generator[-1].outputs)


def plan_networks(config) -> NetworkPlan:
    """Follows from the resolutions, see `ModelConfig`, whose fields are read."""

    def chain(inputs: int, rows: list[tuple]) -> tuple[BlockPlan, ...]:
        """Rows of (name, output channels, resample, norm), one behind the other."""
        size, blocks = config.image_size, []
        for name, outputs, resample, norm in rows:
            block = BlockPlan(name, inputs, outputs, size, resample, norm, first=not blocks)
            inputs, size = outputs, block.output_size
            wanted = {"down": config.attention_down, "up": config.attention_up}.get(resample)
            attention = config.attention and size == wanted
            blocks.append(dataclasses.replace(block, attention=attention))
        return tuple(blocks)

    def widths(bottleneck: int) -> list[int]:
        depth = (config.image_size // bottleneck).bit_length() - 1
        return [min(config.min_channels * 2**j, config.max_channels) for j in range(depth)]

    wide = widths(config.embedder_bottleneck)
    down = chain(6, [(f"down{j}", n, "down", None) for j, n in enumerate(wide)])
    last = BlockPlan("last", wide[-1], wide[-1], config.embedder_bottleneck)
    wide = widths(config.generator_bottleneck)
    rows = [(f"down{j}", n, "down", "instance") for j, n in enumerate(wide)]
    rows += [(f"residual{j}", wide[-1], None, "adaptive") for j in range(config.num_residual_blocks)]
    rows += [(f"up{j}", n, "up", "adaptive") for j, n in enumerate(reversed(wide))]
    return NetworkPlan(down, last, chain(3, rows))
