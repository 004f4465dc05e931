"""Folding batch norms changes no value and no gradient."""

import keras
import numpy as np
import tensorflow as tf

from tests import bounds
from tf_talking.content.folded import fold_batch_norms


def network() -> keras.Model:
    """Every case: with and without bias, scale and centre, a norm of its own, two readers."""
    keras.utils.set_random_seed(3)
    image = keras.Input((12, 12, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, name="scale")(image)
    x = keras.layers.Conv2D(8, 3, use_bias=False, name="conv")(x)
    x = first = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.PReLU(shared_axes=(1, 2), name="prelu")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.BatchNormalization(scale=False, name="depthwise_norm")(x)
    x = keras.layers.Add(name="add")([x, first])
    x = shared = keras.layers.Conv2D(8, 1, name="read_twice")(x)
    x = keras.layers.BatchNormalization(center=False, name="not_folded")(x)
    x = keras.layers.Add(name="again")([x, shared])
    x = keras.layers.BatchNormalization(name="alone")(x)
    vector = keras.layers.Flatten(name="vector")(x)
    model = keras.Model(image, [first, vector])
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization | keras.layers.PReLU):
            layer.set_weights([rng.uniform(-1.5, 2.0, w.shape) for w in layer.get_weights()])
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(rng.uniform(0.1, 3.0, layer.moving_variance.shape))
    return model


def values_and_gradient(model, image):
    with tf.GradientTape() as tape:
        tape.watch(image)
        values = model(image, training=False)
        total = tf.add_n([tf.reduce_sum(tf.sin(value)) for value in values])
    return [*values, tape.gradient(total, image)]


def test_values_and_gradients_are_those_of_the_network():
    model = network()
    folded = fold_batch_norms(model)
    image = tf.random.stateless_uniform([2, 12, 12, 3], [1, 2], 0.0, 255.0)
    for ours, theirs in zip(values_and_gradient(folded, image), values_and_gradient(model, image), strict=True):
        bounds.assert_close(ours, theirs, terms=72, depth=8)
        assert np.abs(theirs).max() > 0.01


def test_only_norms_behind_a_convolution_of_their_own_go():
    model = network()
    folded = fold_batch_norms(model)
    norms = [layer.name for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms == ["not_folded", "alone"]
    assert not folded.trainable_variables and len(folded.outputs) == 2
    assert {"conv", "prelu", "depthwise", "add"} <= {layer.name for layer in folded.layers}
