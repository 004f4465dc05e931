"""A run that begins with another run's networks: what comes along, what begins anew."""

import dataclasses
import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import bounds
from tf_talking.networks.bundle import load_bundle, write_bundle
from tf_talking.networks.meta_checkpoint import CheckpointMismatch, load_meta_learned
from training.meta.start_from import StartFrom
from training.meta.step import MetaTrainer
from training.runs.checkpoints import SafeCheckpoints
from training.runs.folder import RunFolder
from training.runs.seen_people import read_people_file

FACTS = {"data_hash": "abc", "num_videos": 5, "excluded_identities": ["ann"], "seed": 0}


def trainer_of(config, seed, num_videos=5):
    keras.utils.set_random_seed(seed)
    return MetaTrainer(config, num_videos, dict, tf.distribute.get_strategy())


def networks_of(trainer):
    """name → weights, of all that a run goes on with; W apart."""
    head = trainer.discriminator.head
    found = {
        name: getattr(trainer, name).get_weights()
        for name in ("embedder", "generator", "ema_embedder", "ema_generator")
    }
    found["discriminator"] = trainer.discriminator.features.get_weights()
    return found | {"head": [head.w0.numpy(), head.bias.numpy()], "w": [head.w.numpy()]}


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def old(pico_config, nano_batch, tmp_path_factory):
    """A run folder after two steps, and its trainer."""
    run = RunFolder(tmp_path_factory.mktemp("old") / "run")
    run.start(pico_config, FACTS)
    trainer = trainer_of(pico_config, seed=1)
    for _ in range(2):
        trainer.train_step(nano_batch)
    SafeCheckpoints(trainer.checkpoint, run.checkpoints).save(2)
    return run, trainer


@pytest.fixture(scope="module")
def other_losses(pico_config):
    return dataclasses.replace(
        pico_config,
        name="other",
        losses=dataclasses.replace(pico_config.losses, content_pixel=3.0),
        train=dataclasses.replace(pico_config.train, stretch=0.2),
    )


def test_networks_come_along_and_steps_begin_anew(old, other_losses, nano_batch):
    run, before = old
    begin = StartFrom.find(str(run.path), other_losses, FACTS)
    assert begin.facts == {"checkpoint": "ckpt-2", "step": 2, "with_w": True}
    trainer = trainer_of(other_losses, seed=2)
    assert not equal(networks_of(trainer)["generator"], networks_of(before)["generator"])
    begin.restore(trainer)
    for name, weights in networks_of(before).items():
        assert equal(networks_of(trainer)[name], weights), name
    assert not equal(before.generator.get_weights(), before.ema_generator.get_weights())
    assert int(trainer.step) == int(trainer.episodes) == 0
    assert int(trainer.generator_optimizer.iterations) == 0
    trainer.train_step(nano_batch)
    assert not equal(networks_of(trainer)["generator"], networks_of(before)["generator"])


@pytest.mark.parametrize(
    ("change", "num_videos"), [({"data_hash": "def"}, 5), ({"num_videos": 3}, 3), ({"excluded_identities": ["bob"]}, 5)]
)
def test_w_begins_anew_with_other_videos(old, pico_config, change, num_videos):
    run, before = old
    begin = StartFrom.find(str(run.path), pico_config, FACTS | change)
    assert not begin.with_w
    trainer = trainer_of(pico_config, seed=2, num_videos=num_videos)
    w = trainer.discriminator.head.w.numpy()
    begin.restore(trainer)
    np.testing.assert_array_equal(trainer.discriminator.head.w.numpy(), w)
    for name, weights in networks_of(before).items():
        assert equal(networks_of(trainer)[name], weights) == (name != "w"), name


def test_a_copied_checkpoint_brings_no_w(old, pico_config, tmp_path):
    for path in old[0].checkpoints.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    begin = StartFrom.find(str(tmp_path / "ckpt-2"), pico_config, FACTS)
    assert not begin.with_w


def test_a_freed_projection_begins_where_the_normed_one_is(old, pico_config):
    model = dataclasses.replace(pico_config.model, spectral_norm_on_projection=False)
    free = dataclasses.replace(pico_config, model=model)
    trainer = trainer_of(free, seed=2)
    StartFrom.find(str(old[0].path), free, FACTS).restore(trainer)
    embedding = tf.random.stateless_uniform([3, model.embedding_size], [1, 2])
    for name in ("generator", "ema_generator"):
        ours, theirs = getattr(trainer, name), getattr(old[1], name)
        width = model.embedding_size
        bounds.assert_close(ours.project(embedding), theirs.project(embedding), terms=width)
        # Nothing holds it back now.
        ours.projection.kernel.assign(3.0 * ours.projection.kernel)
        moved = ours.project(embedding) - ours.projection.bias
        before = theirs.project(embedding) - theirs.projection.bias
        bounds.assert_close(moved, 3.0 * before, terms=width, depth=2)


@pytest.mark.parametrize("free", [False, True])
def test_a_bundle_brings_the_ema_copies_and_d_without_w(old, pico_config, tmp_path, free):
    bundle = tmp_path / "old.tft"
    write_bundle(bundle, load_meta_learned(old[0].path, with_discriminator=True))
    model = dataclasses.replace(pico_config.model, spectral_norm_on_projection=not free)
    config = dataclasses.replace(pico_config, model=model)
    begin = StartFrom.find(str(bundle), config, FACTS)
    assert begin.facts == {"checkpoint": "old.tft", "step": 2, "with_w": False}
    trainer = trainer_of(config, seed=2)
    w = trainer.discriminator.head.w.numpy()
    begin.restore(trainer)
    bundled = load_bundle(bundle)
    ours = networks_of(trainer)
    for name in ("embedder", "ema_embedder"):
        assert equal(ours[name], bundled.embedder.get_weights())
    assert equal(ours["discriminator"], bundled.discriminator.features.get_weights())
    head = bundled.discriminator.head
    assert equal(ours["head"], [head.w0.numpy(), head.bias.numpy()]) and equal(ours["w"], [w])
    embedding = tf.random.stateless_uniform([3, model.embedding_size], [1, 2])
    drawn = tf.random.stateless_uniform([3, model.image_size, model.image_size, 3], [3, 4])
    for name in ("generator", "ema_generator"):
        generator = getattr(trainer, name)
        psi = bundled.generator.project(embedding)
        bounds.assert_close(generator.project(embedding), psi, terms=model.embedding_size)
        np.testing.assert_array_equal(generator(drawn, psi), bundled.generator(drawn, psi))
    if not free:
        with pytest.raises(CheckpointMismatch, match="old.tft: model.num_residual_blocks is 1, asked for is 2"):
            model = dataclasses.replace(model, num_residual_blocks=2)
            StartFrom.find(str(bundle), dataclasses.replace(config, model=model), FACTS)


def test_a_free_projection_can_not_be_normed(old, pico_config, tmp_path):
    model = dataclasses.replace(pico_config.model, spectral_norm_on_projection=False)
    trainer = trainer_of(dataclasses.replace(pico_config, model=model), seed=1)
    SafeCheckpoints(trainer.checkpoint, tmp_path).save(0)
    with pytest.raises(CheckpointMismatch, match="spectral_norm_on_projection is False"):
        StartFrom.find(str(tmp_path), pico_config, FACTS)


def test_other_networks_are_refused(old, pico_config):
    model = dataclasses.replace(pico_config.model, num_residual_blocks=2)
    deeper = dataclasses.replace(pico_config, model=model)
    message = "ckpt-2: model.num_residual_blocks is 1, asked for is 2"
    with pytest.raises(CheckpointMismatch, match=re.escape(message)):
        StartFrom.find(str(old[0].path), deeper, FACTS)
    landmarks = dataclasses.replace(pico_config.landmarks, line_thickness=2)
    thicker = dataclasses.replace(pico_config, landmarks=landmarks)
    with pytest.raises(CheckpointMismatch, match=r"landmarks\.line_thickness is 1, asked for is 2"):
        StartFrom.find(str(old[0].path), thicker, FACTS)


def test_the_program_starts_from_a_run_and_goes_on_without_it(old, pico_config_file, people, tmp_path):
    """E hardly moves at so small a rate; the resumed run needs the old one no more."""
    source = tmp_path / "source"
    source.mkdir()
    for path in old[0].checkpoints.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    run = tmp_path / "run"

    def train(steps, source):
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "training.meta_train",
                f"--dataset={people}",
                f"--run={run}",
                f"--config={pico_config_file}",
                "--vgg19=none",
                f"--steps={steps}",
                f"--start_from={source}",
                "--override=train.learning_rate=1e-12",
                "--nopreview_film",
            ],
            capture_output=True,
            text=True,
            timeout=300,
        )

    missing = train(1, tmp_path / "nothing")
    assert missing.returncode == 2 and "no checkpoint here" in missing.stderr
    assert not run.exists()
    result = train(1, source / "ckpt-2")
    assert result.returncode == 0, result.stderr
    assert "W anew" in result.stderr
    facts = json.loads((run / "run.json").read_text())["start_from"]
    assert facts == {"checkpoint": "ckpt-2", "step": 2, "with_w": False}
    seen = read_people_file(run)
    assert len(seen.names) == 5 and not seen.complete  # whom the other one saw is not known

    def kernel(prefix):
        reader = tf.train.load_checkpoint(str(prefix))
        names = sorted(n for n in reader.get_variable_to_shape_map() if n.startswith("embedder/") and "kernel" in n)
        return [reader.get_tensor(name) for name in names]

    ours, theirs = kernel(run / "checkpoints/ckpt-1"), kernel(source / "ckpt-2")
    assert len(theirs) == 2 * 3
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, atol=1e-9)
    for path in source.iterdir():
        path.unlink()
    result = train(2, source / "ckpt-2")
    assert result.returncode == 0, result.stderr
    assert "continuing at step 1 of 2" in result.stderr
