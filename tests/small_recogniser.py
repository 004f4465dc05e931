"""Small face recognisers with random weights, as `.keras` files."""

import pathlib

import keras
import numpy as np

SIZE = 16  # of their embeddings


def save_plain_recogniser(path: pathlib.Path, width: int = 112) -> pathlib.Path:
    """What CSIM asks of a file, no more: aligned faces [B, 112, width, 3], RGB 0..255 → [B, 16]."""
    keras.utils.set_random_seed(0)
    convolution = keras.layers.Conv2D(SIZE, 16, 16, activation="relu")
    scale = keras.layers.Rescaling(1 / 128, offset=-127.5 / 128)
    pool = keras.layers.GlobalAveragePooling2D()
    keras.Sequential([keras.Input((112, width, 3)), scale, convolution, pool]).save(path)
    return path


def save_mobilefacenet(path: pathlib.Path) -> pathlib.Path:
    """A MobileFaceNet's parts and names: aligned faces [B, 112, 96, 3], RGB 0..255 → [B, 16].

    Its statistics are not those of a fresh network, so that inference and training differ.
    """
    image = keras.Input((112, 96, 3), name="rgb_0_255")
    x = keras.layers.Rescaling(1 / 128, offset=-127.5 / 128, name="scale")(image)
    x = _convolution(x, "conv1", 8, stride=2)
    x = _convolution(x, "dw_conv1", None)
    for name, filters in (("block4", 8), ("block11", 12), ("block14", 12)):
        x = _convolution(x, f"{name}_down", filters, stride=2)
        residual = _convolution(_convolution(x, f"{name}_dw", None), f"{name}_proj", filters)
        x = keras.layers.Add(name=f"{name}_add")([x, residual])
    x = _convolution(x, "conv2", 24)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(SIZE, name="embedding")(x))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (w.shape for w in weights)
            values = [rng.uniform(0.5, 1.5, gamma), rng.normal(0, 0.2, beta)]
            layer.set_weights([*values, rng.normal(0, 0.2, mean), rng.uniform(0.5, 1.5, variance)])
        elif isinstance(layer, keras.layers.PReLU):
            layer.set_weights([rng.uniform(0.1, 0.4, w.shape) for w in weights])
        elif weights:
            deviations = [np.sqrt(2 / max(np.prod(w.shape[:-1]), 1)) for w in weights]
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                deviations = [np.sqrt(2 / 9)]
            layer.set_weights([rng.normal(0, d, w.shape) for d, w in zip(deviations, weights, strict=True)])
    model.save(path)
    return path


def _convolution(x, name: str, filters: int | None, stride: int = 1):
    """3 x 3, depthwise without `filters`; norm; PReLU where it is not a projection."""
    options = {"strides": stride, "padding": "same", "use_bias": False, "name": f"{name}_conv"}
    layer = keras.layers.Conv2D(filters, 3, **options) if filters else keras.layers.DepthwiseConv2D(3, **options)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(layer(x))
    return x if name.endswith("proj") else keras.layers.PReLU(shared_axes=(1, 2), name=f"{name}_prelu")(x)
