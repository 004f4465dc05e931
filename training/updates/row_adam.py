"""Adam for the rows of W that are in the batch; the other rows are neither read nor written.

Cost and memory traffic of an update do not depend on the number of rows M. What differs from
dense Adam: the moments of a row rest while its video is not drawn, where dense Adam would let
them decay and, by the first moment, go on moving the row. The bias correction counts all
updates, as tensorflow-addons' LazyAdam does, whose result this equals.
"""

import tensorflow as tf

from training.updates.adam import AdamState, Rate


class RowAdam(AdamState):
    """Lazy Adam for one matrix whose gradient is given row by row.

    Args:
      table: the variable [M, N]; not kept, see `Adam`.
    """

    def __init__(
        self, table: tf.Variable, learning_rate: Rate, beta_1, beta_2, epsilon, name="row_adam"
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name)
        self.m, self.v = (
            tf.Variable(tf.zeros(table.shape, tf.float32), trainable=False) for _ in range(2)
        )

    def apply(self, strategy, table, gradient: tf.IndexedSlices, scale: tf.Tensor | None = None):
        """One update, in cross-replica context.

        Args:
          strategy: a tf.distribute strategy.
          table: the constructor's.
          gradient: indices int32 [B], values float32 [B, N], those of all replicas together, equal
            on every replica. A row may repeat: its gradient is the sum.
          scale: float32 scalar that multiplies the gradients, or None.
        """
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
                tf.raw_ops.ResourceScatterUpdate(
                    resource=variable.handle, indices=index, updates=value
                )

        strategy.extended.update(table, update, args=(self.m, self.v, gradient), group=False)
        self.iterations.assign_add(1)
