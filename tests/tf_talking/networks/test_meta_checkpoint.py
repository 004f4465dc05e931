"""A checkpoint is read completely or not at all."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from serving.export import export
from tests import bounds
from tf_talking.config import to_json
from tf_talking.networks.generator import Generator
from tf_talking.networks.meta_checkpoint import CheckpointMismatch, find_checkpoint, load_meta_learned
from tf_talking.served.graphs import read_metadata
from training.meta.step import MetaTrainer


@pytest.fixture(scope="module")
def trainer(nano_config):
    return MetaTrainer(nano_config, 5, dict, tf.distribute.get_strategy())


@pytest.fixture(scope="module")
def checkpoint(trainer, tmp_path_factory):
    trainer.step.assign(12)
    for weight in trainer.ema_generator.trainable_weights:
        weight.assign_add(tf.fill(weight.shape, 0.01))  # unlike the live generator
    return trainer.checkpoint.write(str(tmp_path_factory.mktemp("run") / "ckpt-12"))


def test_restores_the_ema_networks_and_the_discriminator(trainer, checkpoint):
    learned = load_meta_learned(checkpoint, with_discriminator=True)
    assert (learned.step, learned.config) == (12, trainer.config)
    pairs = (
        (trainer.ema_embedder, learned.embedder),
        (trainer.ema_generator, learned.generator),
        (trainer.discriminator, learned.discriminator),
    )
    for before, after in pairs:
        for a, b in zip(before.weights, after.weights, strict=True):
            np.testing.assert_array_equal(a, b)


def test_checkpoint_of_a_run_folder_is_its_newest(tmp_path):
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(x=tf.Variable(1)), str(tmp_path / "checkpoints"), max_to_keep=3
    )
    for number in (5, 9):
        manager.save(checkpoint_number=number)
    assert find_checkpoint(tmp_path).endswith("ckpt-9")
    assert find_checkpoint(tmp_path / "checkpoints/ckpt-5").endswith("ckpt-5")


def test_no_checkpoint_is_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match="no checkpoint here"):
        load_meta_learned(tmp_path)


def write_with(trainer, path, **changes):
    parts = dict(
        ema_embedder=trainer.ema_embedder,
        ema_generator=trainer.ema_generator,
        discriminator=trainer.discriminator,
        step=trainer.step,
        config=tf.Variable(to_json(trainer.config)),
    )
    parts |= changes
    return tf.train.Checkpoint(**{k: v for k, v in parts.items() if v is not None}).write(path)


@pytest.fixture(scope="module")
def bad_checkpoints(trainer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    model = trainer.config.model
    wider = Generator(dataclasses.replace(model, max_channels=32))
    more = Generator(model)
    more.forgotten = tf.Variable(1.0)
    return {
        "in the checkpoint only": write_with(trainer, str(folder / "more"), ema_generator=more),
        "shape": write_with(trainer, str(folder / "wider"), ema_generator=wider),
        "not in the checkpoint": write_with(trainer, str(folder / "less"), ema_embedder=tf.train.Checkpoint()),
        "discriminator/head/w": write_with(trainer, str(folder / "headless"), discriminator=None),
    }


@pytest.mark.parametrize(
    "problem", ["in the checkpoint only", "shape", "not in the checkpoint", "discriminator/head/w"]
)
def test_anything_unmatched_stops_the_export(bad_checkpoints, problem, tmp_path):
    with pytest.raises(CheckpointMismatch, match=problem):
        export(bad_checkpoints[problem], str(tmp_path / "serving"))
    assert not (tmp_path / "serving").exists()


def test_checkpoint_without_config_is_named(tmp_path):
    path = tf.train.Checkpoint(x=tf.Variable(1)).write(str(tmp_path / "ckpt-1"))
    with pytest.raises(ValueError, match="ckpt-1: not a readable checkpoint"):
        load_meta_learned(path)


def test_export_writes_both_models(checkpoint, tmp_path):
    export(checkpoint, str(tmp_path / "serving"))
    for model in ("embedder", "generator"):
        assert (tmp_path / "serving" / model / "1/saved_model.pb").is_file()
    assert "generator" in (tmp_path / "serving/models.config").read_text()


@pytest.mark.bfloat16
def test_export_in_another_type_records_what_it_costs(checkpoint, tmp_path):
    embedder, generator = export(checkpoint, str(tmp_path), device="gpu", dtype="bfloat16")
    facts = read_metadata(generator)
    assert (facts["device"], facts["dtype"]) == ("gpu", "bfloat16")
    assert bounds.least_psnr("bfloat16") < facts["psnr_to_float32"] < 90
    assert read_metadata(embedder)["dtype"] == "float32"  # once a person: its error would stay
