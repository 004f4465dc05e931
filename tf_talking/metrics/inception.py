"""Inception features for FID: the 2015-12-05 TensorFlow graph up to `mixed_7`, 768 features.

Weight file: `.npz` with `<graph name>/kernel` (HWIO) and `<graph name>/bias`, batch normalisation
folded in, names as in the published graph (`conv`, ..., `mixed_7_tower_2_conv`).
Conventions: RGB resized to 299 x 299 (bilinear, pixel centres at half, no filter against
aliasing, as PyTorch's FID code does), (x − 128) / 128, average pools that leave padding out.
The feature is the mean over `mixed_7`'s 17 x 17 positions.
"""

import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_talking.content import weights as content_weights

SIZE = 299  # pixels
FEATURES = 768


def _graph_names() -> list[str]:
    """The graph's name of each convolution, in the order in which Keras creates them."""
    found = ["conv", "conv_1", "conv_2", "conv_3", "conv_4"]
    towers = ("conv", "tower_conv", "tower_conv_1", "tower_1_conv", "tower_1_conv_1")
    for block in ("mixed", "mixed_1", "mixed_2"):
        found += [f"{block}_{t}" for t in (*towers, "tower_1_conv_2", "tower_2_conv")]
    found += [f"mixed_3_{t}" for t in ("conv", "tower_conv", "tower_conv_1", "tower_conv_2")]
    long = ("tower_conv_2", *(f"tower_1_conv{n}" for n in ("", "_1", "_2", "_3", "_4")))
    for number in range(4, 8):
        found += [f"mixed_{number}_{t}" for t in (*towers[:3], *long, "tower_2_conv")]
    return found


def _number(layer: keras.layers.Layer) -> int:
    """Keras numbers the layers of a kind in the order of creation: conv2d, conv2d_1, ..."""
    end = layer.name.rpartition("_")[2]
    return int(end) if end.isdigit() else 0


def _of_kind(model: keras.Model, kind: type) -> list:
    return sorted((la for la in model.layers if isinstance(la, kind)), key=_number)


def build_inception(path: str | pathlib.Path) -> keras.Model:
    """A frozen model: RGB float32 [B, 299, 299, 3] in −1..1 -> float32 [B, 768].

    Raises:
      FileNotFoundError: no such file.
      ValueError: another kind of file, or a layer is missing or of another shape; names it.
    """
    path = content_weights.existing_file(str(path), "inception", "expected an .npz file")
    whole = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3))
    body = keras.Model(whole.input, whole.get_layer("mixed7").output)
    convolutions = _of_kind(body, keras.layers.Conv2D)
    norms = _of_kind(body, keras.layers.BatchNormalization)
    names = _graph_names()
    shapes = {n: la.kernel.shape for n, la in zip(names, convolutions, strict=True)}
    weights = content_weights.read_conv_weights(path, shapes)
    for name, convolution, norm in zip(names, convolutions, norms, strict=True):
        kernel, bias = weights[name]
        convolution.set_weights([kernel])
        # The norm is folded into the kernel: what is left of it adds the bias.
        norm.set_weights([bias, np.zeros_like(bias), np.full_like(bias, 1.0 - norm.epsilon)])
    model = keras.Model(body.input, tf.reduce_mean(body.output, axis=(1, 2)))
    model.trainable = False
    return model


def load_inception(path: str | pathlib.Path, batch_size: int = 16) -> Callable[[np.ndarray], np.ndarray]:
    """The function that `fid` needs: uint8 [N, H, W, 3] -> float32 [N, 768]."""
    model = build_inception(path)

    @tf.function(reduce_retracing=True)
    def run(frames):
        images = tf.image.resize(tf.cast(frames, tf.float32), [SIZE, SIZE], "bilinear")
        return model((images - 128.0) / 128.0, training=False)

    def features(frames: np.ndarray) -> np.ndarray:
        parts = range(0, len(frames), batch_size)
        return np.concatenate([run(tf.constant(frames[i : i + batch_size])) for i in parts])

    return features
