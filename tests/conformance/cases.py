"""One list of everything that computes: layers, networks, frozen graphs.

`test_conformance.py` holds every promise against every case. A new layer or network gets a line in
CASES; what it promises is then proved.
"""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tests import bounds
from tf_talking.config import ModelConfig
from tf_talking.content.vgg import VGG19, build_vgg
from tf_talking.layers.adain import AdaIN
from tf_talking.layers.residual_block import ResidualBlock
from tf_talking.layers.self_attention import SelfAttention
from tf_talking.layers.spectral_conv2d import SpectralConv2D
from tf_talking.layers.spectral_dense import SpectralDense
from tf_talking.layers.spectral_norm import power_iteration
from tf_talking.networks.discriminator import Discriminator, DiscriminatorFeatures
from tf_talking.networks.down_stack import DownStack
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.served.frozen import FrozenEmbedder, FrozenGenerator

BATCH = 4  # rows of the inputs; a multiple of two replicas
SIZE, CHANNELS = 32, 8
# 32 px with both attentions: every part is there, and little of it.
CONFIG = ModelConfig(
    image_size=SIZE,
    min_channels=8,
    max_channels=16,
    embedder_bottleneck=8,
    generator_bottleneck=8,
    num_residual_blocks=1,
    attention_down=16,
    attention_up=16,
)


@dataclasses.dataclass(frozen=True)
class Case:
    """Something with weights (or none) and a call.

    Attributes:
      name: in the tests' names.
      build: makes it, its weights drawn from Keras' seed.
      inputs: kinds of its inputs, see `make_inputs`.
      call: (it, inputs) → a tensor or several, rows first.
      options: of ("precision", "recompute"), those that `build` takes.
      depth: convolutions after one another, for bounds of rounding.
      trains: whether it has variables.
    """

    name: str
    build: Callable
    inputs: tuple[str, ...]
    call: Callable = lambda module, *inputs: module(*inputs)
    options: tuple[str, ...] = ()
    depth: int = 1
    trains: bool = True

    @property
    def is_layer(self) -> bool:
        """Whether activations go in and come out, so that their type is that of the inputs."""
        return "precision" not in self.options and "frozen" not in self.name

    def make(self, seed: int = 0, **options):
        """A fresh one whose gates, scales and shifts are not where training starts."""
        keras.utils.set_random_seed(seed)
        module = self.build(**options)
        for index, weight in enumerate(getattr(module, "trainable_weights", ())):
            weight.assign_add(0.1 * tf.random.stateless_normal(weight.shape, seed=[seed, index]))
        if self.trains:
            power_iteration(module, 5)
        return module


def make_inputs(kinds: tuple[str, ...], rows: int = BATCH) -> tuple[tf.Tensor, ...]:
    """Random inputs; row i is the same however many rows there are."""
    shapes = {
        "map": (16, 16, CHANNELS),
        "vector": (CHANNELS,),
        "image": (SIZE, SIZE, 3),
        "joined": (SIZE, SIZE, 6),
        "psi": (CONFIG.adain_size,),
        "embedding": (CONFIG.embedding_size,),
    }
    made = []
    for number, kind in enumerate(kinds):
        rng = np.random.default_rng(number)
        if kind == "index":
            made.append(tf.constant(rng.integers(0, 3, BATCH)[:rows], tf.int32))
            continue
        values = rng.normal(size=(BATCH, *shapes[kind])).astype(np.float32)
        images = kind in ("image", "joined")
        made.append(tf.constant((np.tanh(values) if images else values)[:rows]))
    return tuple(made)


def _built(layer: keras.layers.Layer, *shape: int) -> keras.layers.Layer:
    layer.build((None, *(shape or (16, 16, CHANNELS))))
    return layer


def _block(filters: int = 12, **options) -> Callable:
    return lambda: _built(ResidualBlock(filters, **options))


def _adaptive(block, x, shift1, scale1, shift2, scale2):
    return block(x, [(shift1, scale1), (shift2, scale2)])


def _frozen(cls, network, device: str) -> Callable:
    return lambda: cls(network(CONFIG), device)


def _vgg(precision: str = "float32") -> keras.Model:
    return build_vgg(VGG19, SIZE, "five", precision=precision)


def _network(cls, *arguments) -> Callable:
    return functools.partial(cls, CONFIG, *arguments)


_BOTH = ("precision", "recompute")
_PHOTO = ("image", "image")
CASES = (
    Case("adain", AdaIN, ("map", "vector", "vector"), trains=False),
    Case("conv", lambda: _built(SpectralConv2D(6, 3)), ("map",)),
    Case("plain conv", lambda: _built(SpectralConv2D(6, 3, spectral_norm=False)), ("map",)),
    Case(
        "conv, then pooled",
        lambda: _built(SpectralConv2D(6, 3), SIZE, SIZE, 3),
        ("image",),
        lambda layer, x: layer.then_pool(x),
    ),
    Case(
        "conv, upsampled before",
        lambda: _built(SpectralConv2D(6, 3), SIZE, SIZE, 3),
        ("image",),
        lambda layer, x: layer.after_upsampling(x),
    ),
    Case("dense", lambda: _built(SpectralDense(6), CHANNELS), ("vector",)),
    Case("attention", lambda: _built(SelfAttention()), ("map",), depth=4),
    Case("residual block", _block(), ("map",), depth=2),
    Case("first residual block", _block(first=True, resample="down"), ("map",), depth=2),
    Case("instance block", _block(norm="instance", resample="down"), ("map",), depth=3),
    Case(
        "adaptive block",
        _block(CHANNELS, norm="adaptive", resample="up"),
        ("map", "vector", "vector", "vector", "vector"),
        _adaptive,
        depth=3,
    ),
    Case("down stack", _network(DownStack), ("joined",), options=("recompute",), depth=8),
    Case("E", _network(Embedder), _PHOTO, options=_BOTH, depth=8),
    Case("G", _network(Generator), ("image", "psi"), options=_BOTH, depth=16),
    Case("P", _network(Generator), ("embedding",), lambda g, e: g.project(e), options=_BOTH),
    Case("V", _network(DiscriminatorFeatures), _PHOTO, options=_BOTH, depth=10),
    Case("D", _network(Discriminator, 3), (*_PHOTO, "index"), options=_BOTH, depth=10),
    *(
        Case(
            f"frozen G, {device}", _frozen(FrozenGenerator, Generator, device), ("image", "psi"), depth=16, trains=False
        )
        for device in ("cpu", "gpu")
    ),
    Case("frozen E", _frozen(FrozenEmbedder, Embedder, "cpu"), _PHOTO, depth=8, trains=False),
    Case("VGG19", _vgg, ("image",), options=("precision",), depth=13),
)


def outputs_of(case: Case, module, inputs) -> list[tf.Tensor]:
    """All outputs, flat."""
    return tf.nest.flatten(case.call(module, *inputs))


def values_and_gradients(case: Case, module, inputs, first_row: int = 0) -> tuple[list, list]:
    """(outputs, gradients of the inputs that have one and of the weights) of a sum over rows.

    Args:
      case, module, inputs: as for `outputs_of`.
      first_row: number of the first row, of which every one has its own direction.
    """
    watched = [x for x in inputs if x.dtype.is_floating]
    watched += list(getattr(module, "trainable_weights", ()))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(watched)
        outputs = outputs_of(case, module, inputs)
        loss = 0.0
        for number, output in enumerate(outputs):
            # Not TensorFlow's random numbers: XLA draws others.
            drawn = np.random.default_rng(number).normal(size=(BATCH, *output.shape[1:]))
            direction = tf.constant(drawn, tf.float32)[first_row : first_row + tf.shape(output)[0]]
            loss += tf.reduce_sum(tf.cast(output, tf.float32) * direction)
    gradients = tape.gradient(loss, watched, unconnected_gradients="zero")
    return outputs, [tf.convert_to_tensor(gradient) for gradient in gradients]


def assert_close(case: Case, ours: list, theirs: list, gradients: bool = False) -> None:
    """Sums in another order; where a value is sums that cancel, of the largest of all."""
    terms = 9 * 16 if not gradients else BATCH * SIZE * SIZE
    fraction = bounds.sum_fraction(terms, case.depth)
    if gradients:
        fraction = bounds.gradient_fraction(terms, 3 * case.depth)
    scale = max(float(np.abs(value).max()) for value in theirs)
    assert len(ours) == len(theirs)
    for number, (value, expected) in enumerate(zip(ours, theirs, strict=True)):
        bounds.assert_close(value, expected, fraction=fraction, scale=scale, name=f"{case.name} {number}")
