"""Activations that a training step keeps for its backward passes, computed from shapes.

Rules, for each tensor of a layer that the gradient of an operation reads again: a convolution keeps
its input, a ReLU what it puts out, a norm its input (in float32), attention its softmax. What
this misses is small beside what the allocator does.
"""

import dataclasses

from tf_talking.config import Config, ModelConfig
from tf_talking.config.plan import BlockPlan
from tf_talking.content.vgg import VGG19, VGGFACE, VGGSpec, vgg_plan
from tf_talking.layers.spectral_conv2d import FOLD_FROM

FLOAT32 = 4  # bytes
# MobileFaceNet at 112x96 pixels: what its convolutions, batch norms and PReLUs put out, a frame.
_MOBILEFACENET_ELEMENTS = 9_900_000
_MOBILEFACENET_PARAMETERS = 1_019_136
_BACKWARD_TENSORS = 3  # of the largest layer: gradients in and out, and a product on the way


@dataclasses.dataclass(frozen=True)
class Kept:
    """Numbers kept for the backward pass: `low` of the compute type, `full` always float32."""

    low: float = 0
    full: float = 0

    def __add__(self, other: "Kept") -> "Kept":
        return Kept(self.low + other.low, self.full + other.full)

    def __mul__(self, count: float) -> "Kept":
        return Kept(self.low * count, self.full * count)

    def bytes(self, precision: str) -> int:
        return int(self.low * (FLOAT32 if precision == "float32" else 2) + self.full * FLOAT32)


@dataclasses.dataclass(frozen=True)
class Block:
    """One residual block with its attention: what it keeps, and the tensor it hands on."""

    kept: Kept
    output: int
    largest: int  # largest tensor inside: a feature map, or the weights of attention


def _attention(size: int, channels: int) -> Kept:
    """Query, key, value, their pooled forms, the weights [HW, HW/4], the result twice."""
    positions = size * size
    convolved = positions * channels * (1 / 8 + 1 / 8 + 1 / 2) + positions * channels * 5 / 32
    return Kept(low=convolved + positions * positions / 4 + positions * channels * 2.5)


def block_kept(plan: BlockPlan) -> Block:
    """A residual block and its attention, for one frame."""
    before, after = plan.size**2, plan.output_size**2
    inside = after if plan.resample == "up" else before  # pixels that the convolutions see
    normed = plan.norm is not None
    # A convolution keeps its input, which a ReLU put out; a norm keeps its own in float32.
    kept = _normed(inside * plan.outputs, normed)
    if not (plan.first and normed):  # G's first one reads the landmark image, counted elsewhere
        kept += _normed(before * plan.inputs, normed)
    if plan.resample == "up" and plan.output_size <= FOLD_FROM:
        kept += Kept(low=inside * plan.inputs)  # the first convolution's input, enlarged
    if plan.resample == "down":
        kept += Kept(low=before * plan.inputs / 4)  # the pooled input of the skip
    largest = inside * max(plan.outputs, plan.inputs)
    if plan.attention:
        kept += _attention(plan.output_size, plan.outputs)
        largest = max(largest, after * after // 4)
    return Block(kept, after * plan.outputs, largest)


def _normed(numbers: int, normed: bool) -> Kept:
    return Kept(low=numbers, full=numbers if normed else 0)


def down_blocks(config: ModelConfig) -> list[Block]:
    """The blocks of E, and of D without its last one (DownStack), for one frame."""
    return [block_kept(plan) for plan in config.plan().down]


def generator_blocks(config: ModelConfig) -> list[Block]:
    """The blocks of G and its last norm and convolution, for one frame."""
    plan = config.plan().generator
    pixels, width = config.image_size**2, plan[-1].outputs
    last = _normed(pixels * width, True) + Kept(full=pixels * 3)
    return [*(block_kept(p) for p in plan), Block(last, pixels * 3, pixels * width)]


def vgg_kept(spec: VGGSpec, layers: str, size: int) -> tuple[Kept, int]:
    """(what the backward pass of a VGG keeps for one frame, numbers it puts out). float32."""
    kept, outputs = size * size * 3, 0
    for conv in vgg_plan(spec, layers):
        if conv.pooled:
            size //= 2
            kept += size * size * conv.shape[2]
        kept += size * size * conv.shape[3]
        outputs += size * size * conv.shape[3] if conv.compared else 0
    return Kept(full=kept), outputs


def content_networks(config: Config) -> list[tuple[str, int, Kept, int]]:
    """(name, parameters, kept a frame, numbers compared a frame) of each network with a weight."""
    losses, size, found = config.losses, config.model.image_size, []
    specs = [VGG19] if losses.content_vgg19 else []
    if losses.content_face and losses.face_features == "vggface":
        specs.append(VGGFACE)
    for spec in specs:
        kept, outputs = vgg_kept(spec, losses.vgg_layers, size)
        parameters = sum(conv.parameters for conv in vgg_plan(spec, losses.vgg_layers))
        found.append((spec.name, parameters, kept, outputs))
    if losses.content_face and losses.face_features == "mobilefacenet":
        kept = Kept(full=_MOBILEFACENET_ELEMENTS)
        found.append(("mobilefacenet", _MOBILEFACENET_PARAMETERS, kept, 300_000))
    return found


def _sum(blocks: list[Block], recompute: bool) -> Kept:
    """What a network keeps for one frame; with recomputation outputs and one block at a time."""
    if not recompute:
        return sum((block.kept for block in blocks), Kept())
    largest = max(blocks, key=lambda block: block.kept.low + block.kept.full)
    return Kept(low=sum(block.output for block in blocks)) + largest.kept


def activation_bytes(config: Config, batch: int, precision: str, recompute: bool) -> dict:
    """Bytes kept by the first pass and on the way back, for `batch` episodes; name → bytes.

    The first pass, through all networks, is the larger one.
    """
    model, k_shot = config.model, config.train.k_shot
    embedder, generator = down_blocks(model), generator_blocks(model)
    last = Kept(low=3 * model.embedder_bottleneck**2 * model.embedding_size)
    discriminator = _sum(embedder, recompute) + last
    compared = Kept(full=sum(block.output for block in embedder))
    frames = model.image_size**2 * 3 * (k_shot + 1)
    parts = {
        "frames and landmark images": Kept(full=4 * frames),
        "E on K frames": _sum(embedder, recompute) * k_shot,
        "G": _sum(generator, recompute),
        # Both frames go through in one batch; compared are their activations, with differences.
        "D on real and fake": discriminator * 2 + compared * 3,
    }
    for name, _, kept, outputs in content_networks(config):
        parts[f"{name} on the fake frame"] = kept + Kept(full=2 * outputs)
    largest = max(max(block.largest for block in embedder) * k_shot, max(block.largest for block in generator))
    parts["on the way back"] = Kept(low=_BACKWARD_TENSORS * largest)
    return {name: (kept * batch).bytes(precision) for name, kept in parts.items()}
