"""The two feature networks of the content loss: VGG19 and VGGFace's VGG16 (paper section 3.4).

Both are plain stacks of 3x3 convolutions with ReLU and 2x2 pooling, trained with Caffe: they expect
BGR, 0..255, minus a mean colour. That preprocessing is the model's first layer, so that callers
hand over RGB float32 in [-1, 1]. Layers carry Keras' names, block{1..5}_conv{1..4}.

Which activations come out, all after ReLU:
  "five": block{1..5}_conv1, the "Conv1, 6, 11, 20, 29" (VGG19) and "Conv1, 6, 11, 18, 25" (VGGFace)
    of the paper.
  "all": every convolution among the first 30 modules of the original networks, as in the authors'
    later release: thirteen of each, up to block5_conv1 of VGG19 and block5_conv3 of VGGFace.
Nothing behind the last activation is built.
"""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

_FILTERS = (64, 128, 256, 512, 512)
_NUM_ALL = 13


@dataclasses.dataclass(frozen=True)
class VGGSpec:
    """What tells one VGG from the other."""

    name: str
    block_depths: tuple[int, ...]  # convolutions of each block
    mean_bgr: tuple[float, float, float]  # on the 0..255 scale


VGG19 = VGGSpec("vgg19", (2, 2, 4, 4, 4), (103.939, 116.779, 123.68))
VGGFACE = VGGSpec("vggface", (2, 2, 3, 3, 3), (93.5940, 104.7624, 129.1863))


class CaffePreprocessing(keras.layers.Layer):
    """RGB in [-1, 1] → BGR, 0..255, minus the mean colour; [B, S, S, 3] float32."""

    def __init__(self, mean_bgr: tuple[float, float, float], **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.mean_bgr = tuple(mean_bgr)

    def call(self, x):
        return (x[..., ::-1] + 1.0) * 127.5 - tf.constant(self.mean_bgr, x.dtype)

    def get_config(self):
        return {**super().get_config(), "mean_bgr": self.mean_bgr}


@dataclasses.dataclass(frozen=True)
class VGGConv:
    """One convolution of a VGG with its ReLU.

    Attributes:
      name: Keras' name.
      shape: of the kernel, HWIO.
      pooled: 2x2 pooling stands before it.
      compared: its activations come out.
    """

    name: str
    shape: tuple[int, int, int, int]
    pooled: bool
    compared: bool

    @property
    def parameters(self) -> int:
        """Kernel and bias."""
        return math.prod(self.shape) + self.shape[-1]


def vgg_plan(spec: VGGSpec, layers: str) -> list[VGGConv]:
    """Every convolution that is built, in order.

    Raises:
      ValueError: `layers` is neither "five" nor "all".
    """
    if layers not in ("five", "all"):
        raise ValueError(f"vgg_layers: got {layers!r}, expected 'five' or 'all'")
    plan, channels = [], 3
    for block, (depth, filters) in enumerate(zip(spec.block_depths, _FILTERS, strict=True)):
        for index in range(depth):
            name, pooled = f"block{block + 1}_conv{index + 1}", bool(block) and index == 0
            shape = (3, 3, channels, filters)
            plan.append(VGGConv(name, shape, pooled, layers == "all" or index == 0))
            channels = filters
            last = name == "block5_conv1" if layers == "five" else len(plan) == _NUM_ALL
            if last:
                return plan
    raise AssertionError(spec)  # every VGG has these layers


def build_vgg(
    spec: VGGSpec, image_size: int | None = None, layers: str = "five", pooling: str = "max", precision: str = "float32"
) -> keras.Model:
    """A frozen model: RGB float32 [B, S, S, 3] in [-1, 1] → list of activations, shallow first.

    Its weights are Keras' initial ones until `set_conv_weights` is called; use
    `content_networks.build_content_networks`, which never leaves them so unasked.

    Args:
      spec: VGG19 or VGGFACE.
      image_size: S, pixels; None for any.
      layers: "five" or "all", see the module's docstring.
      pooling: "max" as trained, or "average".
      precision: type of the activations; preprocessing is float32 in any case.

    Raises:
      ValueError: unknown `layers` or `pooling`.
    """
    poolings = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
    if pooling not in poolings:
        raise ValueError(f"vgg_pooling: got {pooling!r}, expected 'max' or 'average'")
    image = keras.Input((image_size, image_size, 3), name="image", dtype="float32")
    x = CaffePreprocessing(spec.mean_bgr, name="preprocessing", dtype="float32")(image)
    policy = precision if precision == "float32" else f"mixed_{precision}"
    outputs, pool = [], poolings[pooling]
    for conv in vgg_plan(spec, layers):
        if conv.pooled:
            x = pool(2, name=f"{conv.name.partition('_')[0]}_pool", dtype=policy)(x)
        x = keras.layers.Conv2D(conv.shape[-1], 3, padding="same", activation="relu", name=conv.name, dtype=policy)(x)
        if conv.compared:
            outputs.append(x)
    model = keras.Model(image, outputs, name=spec.name)
    model.trainable = False
    return model


def set_conv_weights(model: keras.Model, weights: dict[str, tuple[np.ndarray, np.ndarray]]):
    """Assigns name → (kernel HWIO, bias) to the model's convolutions, every one of them."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights(weights[layer.name])
