"""Adam, dense and for the rows of W that are in the batch.

Dense, with one fused operation a variable: Keras' Adam is some 20 operations a variable, each a
pass over memory; with the three networks' 500 variables that is seconds of tracing and a few times
the memory traffic. The update is the same: m, v, and α = lr·√(1 − β2^t) / (1 − β1^t),
w −= α·m / (√v + ε).

By rows: the other rows are neither read nor written, so that cost and memory traffic of an update
do not depend on their number M. What differs from dense Adam: the moments of a row rest while its
video is not drawn, where dense Adam would let them decay and, by the first moment, go on moving the
row. The bias correction counts all updates, as tensorflow-addons' LazyAdam does, whose result this
equals.

Both are called in the cross-replica context with reduced gradients, so that the caller decides
whether to apply them.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

Rate = float | tf.Variable | Callable[[tf.Tensor], tf.Tensor]


class AdamState(tf.Module):
    """What both Adams share: settings, the count of updates, bias correction.

    Args:
      learning_rate: a number, a variable, or a function of the number of updates done.
      beta_1, beta_2, epsilon: of Kingma and Ba 2014.

    Attributes:
      rate: the learning rate as given; what it is when the step is traced counts.
    """

    def __init__(self, learning_rate: Rate, beta_1: float, beta_2: float, epsilon: float, name):
        super().__init__(name)
        self.rate, self.epsilon = learning_rate, epsilon
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.iterations = tf.Variable(0, dtype=tf.int64, trainable=False, name="iterations")

    def learning_rate(self) -> tf.Tensor:
        """The rate of the next update, float32 scalar."""
        rate = self.rate(self.iterations) if callable(self.rate) else self.rate
        return tf.cast(rate, tf.float32)

    def powers(self) -> tuple[tf.Tensor, tf.Tensor]:
        """β1^t and β2^t of the next update, float32 scalars."""
        t = tf.cast(self.iterations + 1, tf.float32)
        return tf.pow(tf.constant(self.beta_1), t), tf.pow(tf.constant(self.beta_2), t)


class Adam(AdamState):
    """For dense gradients.

    Args:
      variables: what is trained, in the same strategy scope. They are not kept: a checkpoint would
        then name them after the optimiser, by the shortest path that leads to them.
    """

    def __init__(self, variables: Sequence[tf.Variable], *args, name: str = "adam"):
        super().__init__(*args, name=name)
        self.m, self.v = ([_zeros_like(w) for w in variables] for _ in range(2))

    def apply(self, strategy, gradients_and_variables, scale: tf.Tensor | None = None):
        """One update, in cross-replica context.

        Args:
          strategy: a tf.distribute strategy.
          gradients_and_variables: pairs, gradients reduced over the replicas; every variable of
            the constructor, in its order.
          scale: float32 scalar that multiplies the gradients, or None.
        """
        beta_1_power, beta_2_power = self.powers()
        rate = self.learning_rate()

        def update(variable, m, v, gradient):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=beta_1_power,
                beta2_power=beta_2_power,
                lr=rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=gradient if scale is None else gradient * scale,
            )

        for (gradient, variable), m, v in zip(gradients_and_variables, self.m, self.v, strict=True):
            strategy.extended.update(variable, update, args=(m, v, gradient), group=False)
        self.iterations.assign_add(1)


class RowAdam(AdamState):
    """Lazy Adam for one matrix whose gradient is given row by row.

    Args:
      table: the variable [M, N]; not kept, see `Adam`.
    """

    def __init__(self, table: tf.Variable, learning_rate: Rate, beta_1, beta_2, epsilon, name="row_adam"):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name)
        self.m, self.v = (_zeros_like(table) for _ in range(2))

    def apply(self, strategy, gradients_and_variables, scale: tf.Tensor | None = None):
        """One update, in cross-replica context; as `Adam.apply`.

        The one gradient is tf.IndexedSlices: indices int32 [B], values float32 [B, N], those of all
        replicas together, equal on every replica. A row may repeat: its gradient is the sum.
        """
        ((gradient, table),) = gradients_and_variables
        beta_1_power, beta_2_power = self.powers()
        rate = self.learning_rate() * tf.sqrt(1.0 - beta_2_power) / (1.0 - beta_1_power)

        def update(table, m, v, gradient):
            index = gradient.indices
            # Every repetition of a row gets the row's whole sum and so writes the same values.
            same = tf.cast(index[:, tf.newaxis] == index[tf.newaxis, :], tf.int32)
            first = tf.argmax(same, axis=1, output_type=tf.int32)
            sums = tf.math.unsorted_segment_sum(gradient.values, first, tf.size(index))
            total = tf.gather(sums, first)
            if scale is not None:
                total *= scale
            new_m = tf.gather(m, index)
            new_m += (total - new_m) * (1.0 - self.beta_1)
            new_v = tf.gather(v, index)
            new_v += (tf.square(total) - new_v) * (1.0 - self.beta_2)
            rows = tf.gather(table, index) - rate * new_m / (tf.sqrt(new_v) + self.epsilon)
            for variable, value in ((m, new_m), (v, new_v), (table, rows)):
                tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=index, updates=value)

        strategy.extended.update(table, update, args=(self.m, self.v, gradient), group=False)
        self.iterations.assign_add(1)


def _zeros_like(variable: tf.Variable) -> tf.Variable:
    return tf.Variable(tf.zeros(variable.shape, tf.float32), trainable=False)
