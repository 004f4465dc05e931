"""Dynamic loss scale: keeps float16 gradients inside float16's range (Micikevicius et al. 2018)."""

import tensorflow as tf

_START = 2.0**15
_GROWTH_STEPS = 2000  # finite updates until the scale is doubled, as in Keras
_LARGEST = 2.0**24  # beyond it a loss itself leaves float32's exact range


class LossScale(tf.Module):
    """Doubles after 2000 finite updates in a row, halves (not below 1) where one is not finite.

    Attributes:
      value: float32 scalar variable; losses are multiplied by it, gradients divided.
    """

    def __init__(self, name: str = "loss_scale"):
        super().__init__(name)
        self.value = tf.Variable(_START, trainable=False, name="value")
        self.finite_updates = tf.Variable(0, trainable=False, name="finite_updates")

    def update(self, finite: tf.Tensor) -> None:
        """In cross-replica context, once an update. finite: bool scalar."""
        count = tf.where(finite, self.finite_updates + 1, 0)
        grow = count >= _GROWTH_STEPS
        scale = tf.convert_to_tensor(self.value)
        grown = tf.where(grow, tf.minimum(2.0 * scale, _LARGEST), scale)
        self.value.assign(tf.where(finite, grown, tf.maximum(0.5 * scale, 1.0)))
        self.finite_updates.assign(tf.where(grow, 0, count))
