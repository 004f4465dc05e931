"""A frozen network with its batch norms folded into the convolutions before them.

Batch norm of a trained network is one factor and one shift a channel: a convolution with other
kernels and a bias does the same, and its gradient goes through one operation less. With PReLU as
one sum of two clipped halves that takes a third off a MobileFaceNet's pass with gradient.
"""

import keras
import numpy as np
import tensorflow as tf

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


class _FrozenPReLU(keras.layers.Layer):
    """max(x, 0) + α·min(x, 0); α [1, 1, C], of any sign."""

    def __init__(self, alpha: np.ndarray, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self._alpha = alpha

    def call(self, x):
        return tf.maximum(x, 0.0) + tf.constant(self._alpha, x.dtype) * tf.minimum(x, 0.0)


def fold_batch_norms(model: keras.Model) -> keras.Model:
    """The same function as `model` in inference mode, to rounding.

    Args:
      model: functional, of layers that are called once; stays as it is.

    Returns:
      A frozen model with the same inputs and outputs; layers keep their names.
    """
    made = {id(model.input): keras.Input(model.input_shape[1:], name=model.layers[0].name)}
    norms = {id(layer.input): layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
    readers = [id(tensor) for layer in model.layers[1:] for tensor in tf.nest.flatten(layer.input)]
    for layer in model.layers[1:]:
        inputs = tf.nest.map_structure(lambda tensor: made[id(tensor)], layer.input)
        norm = norms.get(id(layer.output))
        if isinstance(layer, _CONVOLUTIONS) and norm is not None and readers.count(id(layer.output)) == 1:
            # The norm's output is made here, and its own turn passes it on.
            made[id(layer.output)] = made[id(norm.output)] = _folded(layer, norm, inputs)
        elif id(layer.output) not in made:
            made[id(layer.output)] = _same(layer, inputs)
    outputs = tf.nest.map_structure(lambda tensor: made[id(tensor)], model.output)
    folded = keras.Model(made[id(model.input)], outputs, name=model.name)
    folded.trainable = False
    return folded


def _folded(layer: keras.layers.Layer, norm: keras.layers.BatchNormalization, inputs):
    kernel, *bias = layer.get_weights()
    scale = 1.0 / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    scale = scale * norm.gamma.numpy() if norm.scale else scale
    shift = (bias[0] if bias else 0.0) - norm.moving_mean.numpy()
    shift = shift * scale + (norm.beta.numpy() if norm.center else 0.0)
    across = scale[:, np.newaxis] if isinstance(layer, keras.layers.DepthwiseConv2D) else scale
    copy = type(layer).from_config({**layer.get_config(), "use_bias": True})
    result = copy(inputs)
    copy.set_weights([kernel * across, shift])
    return result


def _same(layer: keras.layers.Layer, inputs):
    if isinstance(layer, keras.layers.PReLU):
        return _FrozenPReLU(layer.get_weights()[0], name=layer.name)(inputs)
    copy = type(layer).from_config(layer.get_config())
    result = copy(inputs)
    copy.set_weights(layer.get_weights())
    return result
