"""What a pass through the networks returns, and passing a batch through in parts."""

import typing
from collections.abc import Callable

import tensorflow as tf

Tensors = dict[str, tf.Tensor]


class Gradients(typing.NamedTuple):
    """Result of a pass; a structure that a tf.function can return.

    Attributes:
      generator: of who makes the frame; empty in further passes.
      discriminator: of D's variables.
      rows: of W's rows, [B, N], or None where W is normalised or D' has none.
      kept: what further passes need: "fake" [B, S, S, 3], and where there is W "to_match", what
        L_MCH compares with it, [B, N] or [B, K, N].
      metrics: float32 scalars by name.
    """

    generator: list[tf.Tensor]
    discriminator: list[tf.Tensor]
    rows: tf.Tensor | None
    kept: Tensors
    metrics: Tensors


def accumulate_parts(batch: Tensors, parts: int, compute: Callable[[Tensors], Gradients]) -> Gradients:
    """compute(whole batch), computed part by part.

    A loop in the graph, one part at a time: the activations of a part are freed before the next
    one starts, and the graph does not grow with the number of parts.

    Args:
      batch: tensors whose first dimension is a multiple of `parts`.
      parts: how many.
      compute: gradients are sums over the parts; the losses behind them must be scaled for that.
        Metrics are averaged, rows and what is kept are put together again in the batch's order.
    """
    if parts == 1:
        return compute(batch)
    split = {name: tf.reshape(value, [parts, -1, *value.shape[1:]]) for name, value in batch.items()}

    def part(index) -> Gradients:
        return compute({name: value[index] for name, value in split.items()})

    # The first part stands before the loop: its result says what there is to sum.
    first = part(0)
    names = sorted(first.metrics)
    kept_names = sorted(first.kept)

    def listed(result: Gradients) -> tuple[list, list]:
        sums = [*result.generator, *result.discriminator]
        rest = [tf.stack([result.metrics[n] for n in names])]
        rest += [result.kept[n] for n in kept_names]
        return sums, rest + ([] if result.rows is None else [result.rows])

    sums, rest = listed(first)
    arrays = [tf.TensorArray(t.dtype, parts, element_shape=t.shape).write(0, t) for t in rest]

    def body(index, sums, arrays):
        more, rest = listed(part(index))
        sums = [a + b for a, b in zip(sums, more, strict=True)]
        return index + 1, sums, [a.write(index, t) for a, t in zip(arrays, rest, strict=True)]

    _, sums, arrays = tf.while_loop(lambda index, *_: index < parts, body, [1, sums, arrays], parallel_iterations=1)
    metrics = tf.unstack(tf.reduce_mean(arrays[0].stack(), axis=0), len(names))
    whole = [array.concat() for array in arrays[1:]]
    count = len(first.generator)
    return Gradients(
        generator=sums[:count],
        discriminator=sums[count:],
        rows=None if first.rows is None else whole[-1],
        kept=dict(zip(kept_names, whole[: len(kept_names)], strict=True)),
        metrics=dict(zip(names, metrics, strict=True)),
    )
