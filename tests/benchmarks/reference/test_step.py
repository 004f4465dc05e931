"""The step that the benchmark compares with computes the same losses as ours."""

import dataclasses

import keras
import pytest
import tensorflow as tf

from benchmarks.reference.step import ReferenceTrainer
from tf_talking.config import get_preset
from tf_talking.layers.spectral_norm import power_iteration
from training.meta.step import MetaTrainer


def test_losses_are_equal_to_1e_4(eager_step):
    """On the content networks' real code path too, at 32 px, and past the first update of D."""
    from benchmarks.measuring.people import make_batch
    from tf_talking.content.networks import build_content_networks

    tiny = get_preset("tiny")
    model = dataclasses.replace(
        tiny.model,
        image_size=32,
        min_channels=8,
        max_channels=16,
        num_residual_blocks=1,
        attention_down=16,
        attention_up=16,
    )
    train = dataclasses.replace(tiny.train, k_shot=2, batch_size=2)
    config = dataclasses.replace(tiny, model=model, train=train)
    content = build_content_networks("random", "none", image_size=32)
    trainers = []
    for cls in (ReferenceTrainer, MetaTrainer):
        keras.utils.set_random_seed(0)
        trainers.append(cls(config, 10, lambda: content, tf.distribute.get_strategy()))
    reference, ours = trainers
    for network in ("embedder", "generator", "discriminator"):
        power_iteration(getattr(reference, network), 300)
        getattr(ours, network).set_weights(getattr(reference, network).get_weights())
    batch = make_batch(config, 10)
    theirs, mine = eager_step(reference, batch), eager_step(ours, batch)
    names = [name for name in theirs if name.startswith("loss/")]
    assert {"loss/content_vgg19", "loss/match", "loss/discriminator"} < set(names)
    for name in names:
        assert float(mine[name]) == pytest.approx(float(theirs[name]), rel=1e-4), name
