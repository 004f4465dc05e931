"""Every promise of layers, networks and frozen graphs, held against all of `cases.CASES`."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.cases import BATCH, CASES, Case, assert_close, make_inputs, outputs_of, values_and_gradients
from tests.replicas import two_replicas
from tf_talking.layers.recompute import run_block
from tf_talking.layers.residual_block import ResidualBlock
from tf_talking.layers.self_attention import SelfAttention

TRAINED = [case for case in CASES if case.trains]
DIFFERENTIABLE = [case for case in CASES if "frozen" not in case.name]
RECOMPUTED = [case for case in CASES if "recompute" in case.options or "block" in case.name or case.name == "attention"]


def each(cases: list[Case]):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


@functools.cache
def reference(case: Case):
    """(module, inputs, outputs, gradients) as they are computed one operation after the other."""
    module, inputs = case.make(), make_inputs(case.inputs)
    if case in DIFFERENTIABLE:
        return module, inputs, *values_and_gradients(case, module, inputs)
    return module, inputs, outputs_of(case, module, inputs), []


@each(TRAINED)
def test_checkpoint_round_trip(case, tmp_path):
    module, inputs, expected, _ = reference(case)
    path = tf.train.Checkpoint(module=module).write(str(tmp_path / "ckpt"))
    other = case.make(seed=1)
    assert any(not np.array_equal(a, b) for a, b in zip(module.weights, other.weights, strict=True))
    tf.train.Checkpoint(module=other).read(path).assert_consumed()
    for ours, theirs in zip(outputs_of(case, other, inputs), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@each(CASES)
def test_saved_model_round_trip(case, tmp_path):
    """Of a function with any number of rows, loaded without the code of this project."""
    module, inputs, expected, _ = reference(case)
    specs = [tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in inputs]
    exported = tf.Module()
    exported.weights = getattr(module, "weights", [])
    exported.call = tf.function(lambda *inputs: outputs_of(case, module, inputs), specs, autograph=False)
    tf.saved_model.save(exported, str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    assert_close(case, loaded.call(*inputs), expected)


@each(CASES)
def test_batch_of_n_equals_n_batches(case):
    module, inputs, expected, _ = reference(case)
    rows = [outputs_of(case, module, [x[row : row + 1] for x in inputs]) for row in range(BATCH)]
    joined = [tf.concat(parts, axis=0) for parts in zip(*rows, strict=True)]
    assert_close(case, joined, expected)
    assert all(np.abs(output[0] - output[1]).max() > 1e-3 for output in expected)


@each(DIFFERENTIABLE)
def test_xla_computes_the_same(case):
    module, inputs, expected, gradients = reference(case)
    compiled = tf.function(lambda: values_and_gradients(case, module, inputs), jit_compile=True, autograph=False)
    ours, our_gradients = compiled()
    assert_close(case, ours, expected)
    assert_close(case, our_gradients, gradients, gradients=True)


@pytest.mark.parametrize("precision", [pytest.param("bfloat16", marks=pytest.mark.bfloat16), "float16"])
@each(DIFFERENTIABLE)
def test_half_precision_is_that_of_the_activations_only(case, precision):
    """Weights float32; a layer answers in its input's type; results close to those of float32."""
    module, inputs, expected, _ = reference(case)
    if case.is_layer:
        low = module
        inputs = [tf.cast(x, precision) if x.dtype.is_floating else x for x in inputs]
    else:
        low = case.make(precision=precision)
        low.set_weights(module.get_weights())
    assert {weight.dtype for weight in getattr(low, "weights", ())} <= {tf.float32}
    outputs = outputs_of(case, low, inputs)
    if case.is_layer:
        assert {output.dtype for output in outputs} == {tf.as_dtype(precision)}
    elif case.name in ("E", "G", "P"):
        assert {output.dtype for output in outputs} == {tf.float32}
    else:  # what is compared: vectors and scores in float32, activations as they are
        assert outputs[-1].dtype == tf.as_dtype(precision)
    unit = {"bfloat16": 2.0**-8, "float16": 2.0**-11}[precision]
    for ours, theirs in zip(outputs, expected, strict=True):
        difference = np.abs(tf.cast(ours, tf.float32) - theirs)
        assert difference.mean() <= 4 * case.depth**0.5 * unit * np.abs(theirs).max()


@each(RECOMPUTED)
def test_recomputation_computes_the_same(case):
    module, inputs, expected, gradients = reference(case)
    ours = module
    if "recompute" in case.options:
        ours = case.make(recompute=True)
        ours.set_weights(module.get_weights())
    if isinstance(module, ResidualBlock | SelfAttention):
        ours = RunAgain(module)
    outputs, our_gradients = values_and_gradients(case, ours, inputs)
    assert_close(case, outputs, expected)
    assert_close(case, our_gradients, gradients, gradients=True)


class RunAgain:
    """A block that is called as the networks call it."""

    def __init__(self, block):
        self.block, self.trainable_weights = block, block.trainable_weights

    def __call__(self, x, adain_params=None):
        return run_block(self.block, True, x, adain_params)


@each(DIFFERENTIABLE)
def test_two_replicas_equal_one_with_all_rows(case):
    module, inputs, expected, gradients = reference(case)
    strategy = two_replicas()
    with strategy.scope():
        double = case.make()
    if case.trains:
        double.set_weights(module.get_weights())
    half = BATCH // 2

    @tf.function(autograph=False)
    def run():
        def step():
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            rows = slice(number * half, (number + 1) * half)
            own = [tf.ensure_shape(x[rows], [half, *x.shape[1:]]) for x in inputs]
            return values_and_gradients(case, double, own, rows.start)

        return strategy.run(step)

    outputs, parts = run()
    outputs = [tf.concat(strategy.experimental_local_results(x), axis=0) for x in outputs]
    assert_close(case, outputs, expected)
    floats = sum(x.dtype.is_floating for x in inputs)
    results = [strategy.experimental_local_results(part) for part in parts]
    ours = [tf.concat(rows, axis=0) for rows in results[:floats]]
    ours += [tf.add_n(rows) for rows in results[floats:]]
    assert_close(case, ours, gradients, gradients=True)
