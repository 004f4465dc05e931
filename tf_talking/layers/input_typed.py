"""Base of our layers: float32 weights, computing in the type of the input."""

import keras


class InputTypedLayer(keras.layers.Layer):
    """Weights are float32; a layer given bfloat16 or float16 activations answers in that type.

    So one network runs in any precision, chosen once where its images enter (`precision` of the
    networks), and nothing depends on Keras' global policy. What must stay float32 whatever the
    activations are (σ, statistics of norms, softmax) is cast by the layer itself. `autocast` is
    off: Keras would otherwise turn the activations back into float32 at every layer.
    """

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", autocast=False, **kwargs)
