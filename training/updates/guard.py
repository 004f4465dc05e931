"""Holds the optimisers; applies gradients that are finite, leaves out and counts the others.

Gradients are summed over the replicas first. Loss and norm of the sums are then looked at on one
replica: they are equal on all, so its verdict holds for all. An update that is left out changes no
weight, no moment and no count of updates.

With float16, losses are multiplied by a dynamic scale, which keeps gradients inside float16's range
(Micikevicius et al. 2018).
"""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from training.updates.adam import Adam, RowAdam
from training.updates.gradients import Tensors

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


class Counters(tf.Module):
    """What the guard keeps in a checkpoint.

    Attributes:
      skipped_updates: updates left out so far.
      skipped_in_a_row: steps in a row in which one was.
      skipped_records: damaged records that the input pipeline passed over.
      loss_scale: `LossScale`; there in any precision, so that a run can go on in another one.
    """

    def __init__(self, name: str = "updates"):
        super().__init__(name)
        self.loss_scale = LossScale()
        self.skipped_updates = counter("skipped_updates")
        self.skipped_in_a_row = counter("skipped_in_a_row")
        self.skipped_records = counter("skipped_records")


class Guard:
    """The optimisers behind their guard.

    Args:
      optimizers: side ("generator", "discriminator") → [(optimizer, its variables), ...].
      scaled: losses are multiplied by a dynamic scale (float16).

    Attributes:
      counters: `Counters`.
    """

    def __init__(
        self, optimizers: Mapping[str, Sequence[tuple[Adam | RowAdam, Sequence[tf.Variable]]]], scaled: bool = False
    ):
        self.optimizers, self.scaled, self.counters = optimizers, scaled, Counters()

    def scale(self) -> tf.Tensor:
        """What losses are multiplied by before they are differentiated, float32 scalar."""
        value = self.counters.loss_scale.value
        return tf.convert_to_tensor(value) if self.scaled else tf.constant(1.0)

    def apply(self, side: str, gradients: Sequence, loss: tf.Tensor, scale: tf.Tensor | None = None):
        """One update of a side, in replica context.

        Args:
          side: whose optimisers.
          gradients: of this replica, tensors or IndexedSlices, in the order of the optimisers'
            variables; summed over the replicas.
          loss: this replica's, not scaled.
          scale: `scale()` of when the gradients were taken, where an update came in between,
            which may have changed it; None: the scale of now.

        Returns:
          (norm of the summed gradient, 1.0 where the update was left out else 0.0).
        """

        def merged(strategy, gradients, loss):
            total = tf.distribute.ReduceOp.SUM
            variables = [v for _, own in self.optimizers[side] for v in own]
            pairs = list(zip(gradients, variables, strict=True))
            reduced = strategy.extended.batch_reduce_to(total, pairs)
            local = [strategy.experimental_local_results(g)[0] for g in reduced]
            squares = 2.0 * tf.add_n([tf.nn.l2_loss(_values(g)) for g in local])
            loss = strategy.reduce(total, loss, axis=None)
            finite = tf.math.is_finite(squares) & tf.math.is_finite(loss)
            factor = None
            if self.scaled:
                factor = 1.0 / (self.scale() if scale is None else scale)
                squares *= tf.square(factor)
                self.counters.loss_scale.update(finite)

            def update():
                rest = iter(reduced)
                for optimizer, own in self.optimizers[side]:
                    optimizer.apply(strategy, [(next(rest), v) for v in own], factor)
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
        counts = self.counters

        def merged(strategy, updates, records):
            updates = tf.cast(strategy.experimental_local_results(updates)[0], tf.int64)
            counts.skipped_updates.assign_add(updates)
            in_a_row = tf.convert_to_tensor(counts.skipped_in_a_row) + 1
            counts.skipped_in_a_row.assign(tf.where(updates > 0, in_a_row, 0))
            counted = [counts.skipped_updates, counts.skipped_in_a_row]
            if records is not None:
                records = strategy.reduce(tf.distribute.ReduceOp.SUM, records, axis=None)
                counts.skipped_records.assign_add(tf.cast(records, tf.int64))
                counted.append(counts.skipped_records)
            return [tf.convert_to_tensor(c) for c in counted]

        records = None if records is None else tf.reduce_sum(records)
        found = tf.distribute.get_replica_context().merge_call(merged, args=(updates, records))
        names = ["skipped/total", "skipped/in_a_row", "data/skipped"]
        found = dict(zip(names, found, strict=False))
        if self.scaled:
            found["skipped/loss_scale"] = self.scale()
        return found


def counter(name: str) -> tf.Variable:
    """A variable that counts."""
    return tf.Variable(0, dtype=tf.int64, trainable=False, name=name)


def _values(gradient: tf.Tensor | tf.IndexedSlices) -> tf.Tensor:
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
