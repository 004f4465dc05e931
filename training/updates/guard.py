"""Applies gradients that are finite, leaves out and counts the others.

Gradients are summed over the replicas first. Loss and norm of the sums are then looked at on one
replica: they are equal on all, so its verdict holds for all. An update that is left out changes no
weight, no moment and no count of updates.
"""

from collections.abc import Callable

import tensorflow as tf

from training.updates.gradients import Tensors
from training.updates.loss_scale import LossScale


class GuardedUpdates(tf.Module):
    """The guard and its counters; part of a checkpoint.

    Args:
      scaled: losses are multiplied by a dynamic scale (float16).

    Attributes:
      skipped_updates: updates left out so far.
      skipped_in_a_row: steps in a row in which one was.
      skipped_records: damaged records that the input pipeline passed over.
      loss_scale: `LossScale`; there in any precision, so that a run can go on in another one.
    """

    def __init__(self, scaled: bool = False, name: str = "updates"):
        super().__init__(name)
        self.scaled = scaled
        self.loss_scale = LossScale()
        self.skipped_updates = counter("skipped_updates")
        self.skipped_in_a_row = counter("skipped_in_a_row")
        self.skipped_records = counter("skipped_records")

    def scale(self) -> tf.Tensor:
        """What losses are multiplied by before they are differentiated, float32 scalar."""
        return tf.convert_to_tensor(self.loss_scale.value) if self.scaled else tf.constant(1.0)

    def apply(self, apply: Callable, gradients: list, variables: list, loss: tf.Tensor):
        """One update, in replica context.

        Args:
          apply: (strategy, [(reduced gradient, variable), ...], factor of the gradients or None),
            called in cross-replica context where the update is to be done.
          gradients: of this replica, tensors or IndexedSlices; summed over the replicas.
          variables: as many.
          loss: this replica's, not scaled.

        Returns:
          (norm of the summed gradient, 1.0 where the update was left out else 0.0).
        """

        def merged(strategy, gradients, loss):
            total = tf.distribute.ReduceOp.SUM
            reduced = strategy.extended.batch_reduce_to(
                total, list(zip(gradients, variables, strict=True))
            )
            local = [strategy.experimental_local_results(g)[0] for g in reduced]
            squares = 2.0 * tf.add_n([tf.nn.l2_loss(_values(g)) for g in local])
            loss = strategy.reduce(total, loss, axis=None)
            finite = tf.math.is_finite(squares) & tf.math.is_finite(loss)
            factor = None
            if self.scaled:
                factor = 1.0 / tf.convert_to_tensor(self.loss_scale.value)
                squares *= tf.square(factor)
                self.loss_scale.update(finite)

            def update():
                apply(strategy, list(zip(reduced, variables, strict=True)), factor)
                return 0.0

            skipped = tf.cond(finite, update, lambda: 1.0)
            return tf.sqrt(squares), skipped

        return tf.distribute.get_replica_context().merge_call(merged, args=(gradients, loss))

    def count(self, updates: tf.Tensor, records: tf.Tensor | None) -> Tensors:
        """Counts what a step left out, in replica context; returns the counts by name.

        Args:
          updates: float32 scalar, updates left out in this step.
          records: int32 [b], damaged records passed over for each episode of this replica, or None.
        """

        def merged(strategy, updates, records):
            updates = tf.cast(strategy.experimental_local_results(updates)[0], tf.int64)
            self.skipped_updates.assign_add(updates)
            in_a_row = tf.convert_to_tensor(self.skipped_in_a_row) + 1
            self.skipped_in_a_row.assign(tf.where(updates > 0, in_a_row, 0))
            counters = [self.skipped_updates, self.skipped_in_a_row]
            if records is not None:
                records = strategy.reduce(tf.distribute.ReduceOp.SUM, records, axis=None)
                self.skipped_records.assign_add(tf.cast(records, tf.int64))
                counters.append(self.skipped_records)
            return [tf.convert_to_tensor(c) for c in counters]

        records = None if records is None else tf.reduce_sum(records)
        counts = tf.distribute.get_replica_context().merge_call(merged, args=(updates, records))
        names = ["skipped/total", "skipped/in_a_row", "data/skipped"]
        counts = dict(zip(names, counts, strict=False))
        if self.scaled:
            counts["skipped/loss_scale"] = tf.convert_to_tensor(self.loss_scale.value)
        return counts


def counter(name: str) -> tf.Variable:
    """A variable that counts."""
    return tf.Variable(0, dtype=tf.int64, trainable=False, name=name)


def _values(gradient: tf.Tensor | tf.IndexedSlices) -> tf.Tensor:
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
