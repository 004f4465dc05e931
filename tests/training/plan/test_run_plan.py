"""The figures of --dry_run against what the networks, their graphs and a checkpoint really hold."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config import from_json, get_preset
from tf_talking.config.overrides import replace_losses
from tf_talking.content import vgg
from tf_talking.networks.discriminator import DiscriminatorFeatures
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.parameters import count_parameters
from training.meta.options import StepOptions
from training.meta.step import MetaTrainer
from training.plan.activations import Kept, activation_bytes, down_blocks, generator_blocks, vgg_kept
from training.plan.memory import estimate_memory
from training.plan.run_plan import describe, plan_run

NUM_VIDEOS = 5
# Same memory, other name: not a tensor of its own.
_ALIASES = ("Identity", "Reshape", "StopGradient", "ReadVariableOp")


@pytest.fixture(scope="module")
def trainer(nano_config):
    return MetaTrainer(nano_config, NUM_VIDEOS, dict, tf.distribute.get_strategy())


def nbytes(variables):
    return sum(int(np.prod(v.shape)) * v.dtype.size for v in variables)


def test_exact_part_is_what_the_trainer_holds(nano_config, trainer):
    exact = estimate_memory(nano_config, NUM_VIDEOS).exact
    networks = (trainer.embedder, trainer.generator, trainer.discriminator)
    w = nbytes([trainer.discriminator.head.w])
    weights = sum(nbytes(network.weights) for network in networks) - w
    assert exact["weights of E, G, D"] == weights
    ema = trainer.ema_embedder.trainable_weights + trainer.ema_generator.trainable_weights
    assert exact["EMA of E and G"] == nbytes(ema)
    moments = [
        v
        for optimizer in (trainer.generator_optimizer, trainer.discriminator_optimizer)
        for v in optimizer.variables
        if v.shape.rank and "Variable/" not in v.name
    ]
    scalars = nbytes(moments) - exact["Adam's moments of E, G, D"]
    assert abs(scalars) <= 64  # moments of the scalars: D's bias and the gates
    w_slots = [v for v in trainer.w_optimizer.variables if v.shape.rank]
    assert exact["W and its moments"] == w + nbytes(w_slots)
    assert exact["gradients"] == nbytes(trainer.generator_variables)


def test_checkpoint_size(nano_config, trainer, tmp_path):
    path = trainer.checkpoint.write(str(tmp_path / "ckpt"))
    estimate = plan_run(nano_config, NUM_VIDEOS).checkpoint_bytes
    reader = tf.train.load_checkpoint(path)
    types, shapes = reader.get_variable_to_dtype_map(), reader.get_variable_to_shape_map()
    floats = [n for n, dtype in types.items() if dtype == tf.float32]
    saved = sum(4 * int(np.prod(shapes[name])) for name in floats)
    assert estimate <= saved <= estimate + 100  # learning rates and the like are scalars
    # The config as text and the graph of objects: the same for every size of network.
    assert 0 < os.path.getsize(f"{path}.data-00000-of-00001") - saved < 100_000


def is_gradient(operation):
    """AddN sums up gradients under a name of its own."""
    return operation.name.startswith("gradient_tape/") or operation.type == "AddN"


def kept_by(function, *inputs):
    """Bytes of one frame's feature maps that the gradient's operations read."""

    @tf.function
    def loss_and_gradients(*inputs):
        with tf.GradientTape() as tape:
            outputs, variables = function(*inputs)
            loss = tf.add_n([tf.reduce_sum(output) for output in outputs])
        return tape.gradient(loss, variables)

    graph = loss_and_gradients.get_concrete_function(*inputs).graph
    kept = {}
    for operation in graph.get_operations():
        if not is_gradient(operation) or operation.type in ("Shape", "ShapeN"):
            continue
        for tensor in operation.inputs:
            while tensor.op.type in _ALIASES and tensor.op.inputs:
                tensor = tensor.op.inputs[0]
            shape = tensor.shape.as_list()
            # Six dimensions: enlarged by broadcasting. 1 x 1: kernels and statistics.
            is_map = len(shape) in (4, 6) and shape[0] == 1 and shape[1:3] != [1, 1]
            if not is_gradient(tensor.op) and (is_map or tensor.op.type == "Softmax"):
                kept[tensor.ref()] = int(np.prod(shape)) * 4
    return sum(kept.values())


@pytest.fixture(scope="module")
def tiny():
    return get_preset("tiny").model


def image(config):
    return tf.TensorSpec([1, config.image_size, config.image_size, 3])


def test_kept_by_the_embedder(tiny):
    network = Embedder(tiny)
    found = kept_by(lambda x, y: ([network(x, y)], network.trainable_weights), image(tiny), image(tiny))
    estimate = sum((block.kept for block in down_blocks(tiny)), Kept()).bytes("float32")
    assert estimate == pytest.approx(found, rel=0.05)


def test_kept_by_the_discriminator_features(tiny):
    network = DiscriminatorFeatures(tiny)
    found = kept_by(lambda x, y: ([network(x, y)[0]], network.trainable_weights), image(tiny), image(tiny))
    estimate = sum((block.kept for block in down_blocks(tiny)), Kept()).bytes("float32")
    assert estimate == pytest.approx(found, rel=0.05)


@pytest.mark.parametrize("attention", [True, False])
def test_kept_by_the_generator(tiny, attention):
    config = dataclasses.replace(tiny, attention=attention)
    network = Generator(config)
    psi = tf.TensorSpec([1, config.adain_size])
    found = kept_by(lambda y, psi: ([network(y, psi)], network.trainable_weights), image(config), psi)
    estimate = sum((block.kept for block in generator_blocks(config)), Kept()).bytes("float32")
    assert estimate == pytest.approx(found, rel=0.05)


@pytest.mark.parametrize("layers", ["five", "all"])
def test_kept_by_vgg(layers):
    model = vgg.build_vgg(vgg.VGG19, 64, layers)

    def function(x):
        x = tf.identity(x)
        return model(x), [x]

    found = kept_by(function, tf.TensorSpec([1, 64, 64, 3]))
    assert vgg_kept(vgg.VGG19, layers, 64)[0].bytes("float32") == pytest.approx(found, rel=0.05)


def test_options_change_what_they_should():
    config = replace_losses(get_preset("paper"), content_vgg19=0.0, content_face=0.0)
    counts = count_parameters(config.model)

    def estimate(replicas=1, **options):
        return estimate_memory(config, 1000, counts, StepOptions(**options), replicas)

    plain = estimate()
    kept = sum(plain.estimated.values())
    assert sum(estimate(accumulate=4).estimated.values()) == pytest.approx(kept / 4, rel=0.01)
    assert sum(estimate(replicas=8).estimated.values()) == pytest.approx(kept / 8, rel=0.01)
    half = sum(estimate(precision="bfloat16").estimated.values())
    assert 0.5 * kept < half < 0.75 * kept  # norms, frames and L_FM stay float32
    assert estimate(precision="bfloat16").exact["weights of E, G, D"] == (plain.exact["weights of E, G, D"])
    assert sum(estimate(recompute=True).estimated.values()) < 0.8 * kept
    more = estimate_memory(config, 2000, counts)
    assert more.device - plain.device == 1000 * config.model.embedding_size * 4 * 3
    waiting = estimate(steps_per_call=10).exact["batches that wait"]
    assert waiting == 10 * config.train.batch_size * 9 * 256 * 256 * 3


def test_frames_of_e_count_k_times():
    config = get_preset("paper")
    parts = activation_bytes(config, 1, "float32", False)
    assert "D on real and fake" in parts and "vgg19 on the fake frame" in parts
    lonely = dataclasses.replace(config, train=dataclasses.replace(config.train, k_shot=1))
    fewer = activation_bytes(lonely, 1, "float32", False)
    assert parts["E on K frames"] == pytest.approx(8 * fewer["E on K frames"], rel=1e-6)


def test_description_says_what_was_asked(nano_config):
    plan = plan_run(
        nano_config,
        10,
        StepOptions("bfloat16", accumulate=2, recompute=True, steps_per_call=5),
        num_frames=1234,
        replicas=2,
        workers=2,
    )
    assert plan.steps_per_epoch == 3  # 10 videos, 4 a step
    text = describe(plan)
    config = text[text.index("{") : text.index("\n}\n") + 3]
    assert from_json(config) == nano_config
    counts = count_parameters(nano_config.model)
    for words in (
        "10 videos, 1,234 frames",
        "4 episodes of 2 + 1 frames on 2 replica(s) of 2 worker(s)",
        "2 on each, in 2 part(s)",
        "bfloat16, activations computed again, 5 step(s) a call",
        "3 steps an epoch",
        f"{counts['embedder']:,}",
        "MiB a checkpoint",
        f"W, 10 x {nano_config.model.embedding_size}",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_videos": 0}, "num_videos: got 0"),
        ({"replicas": 3}, "train.batch_size: got 4, expected a multiple of 3 replicas"),
        ({"accumulate": 3, "replicas": 2}, "expected a multiple of 2 replicas x 3 parts"),
        ({"precision": "float8"}, "precision: got 'float8'"),
        ({"workers": 0}, "workers: got 0"),
    ],
)
def test_what_can_not_be_planned(nano_config, options, message):
    with pytest.raises(ValueError, match=message):
        given = {"num_videos": 5, **options}
        step = {name: given.pop(name) for name in ("accumulate", "precision") if name in given}
        plan_run(nano_config, options=StepOptions(**step), **given)
