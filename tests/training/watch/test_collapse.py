"""The watchdog on runs that really train and really collapse: small networks, procedural people.

No number is made up here. Each collapse is provoked the way it happens to people: a learning rate
too high, W started around 0, a generator that lags behind. The networks are compiled once and set
back to their start in between.
"""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_talking.dataset.records import decode_frames
from tf_talking.procedural.render import render_video
from training.meta.step import MetaTrainer
from training.runs.checkpoints import variables_of
from training.watch.measures import measure
from training.watch.rules import Thresholds
from training.watch.watchdog import Watchdog

PEOPLE, FRAMES, EVERY = 8, 10, 10


@pytest.fixture(scope="module")
def people(nano_config):
    """(frames uint8 [people, frames, S, S, 3], landmarks [people, frames, 68, 2])."""
    size = nano_config.model.image_size
    videos = [render_video(seed, FRAMES, size) for seed in range(PEOPLE)]
    frames = np.stack([decode_frames(video, np.arange(FRAMES)) for video in videos])
    return frames, np.stack([video.landmarks for video in videos])


def episodes(people, config, seed, batch_size):
    """Endless batches of different people."""
    frames, landmarks = people
    generator, k_shot = np.random.default_rng(seed), config.train.k_shot
    while True:
        who = generator.permutation(PEOPLE)[:batch_size]
        chosen = np.stack([generator.permutation(FRAMES)[: k_shot + 1] for _ in who])
        f, p = frames[who[:, None], chosen], landmarks[who[:, None], chosen]
        yield {
            "source_frames": tf.constant(f[:, :-1]),
            "source_landmarks": tf.constant(p[:, :-1]),
            "target_frame": tf.constant(f[:, -1]),
            "target_landmarks": tf.constant(p[:, -1]),
            "video_index": tf.constant(who.astype(np.int32)),
        }


class Run:
    """A trainer that can be set back to its start, and the watchdog's compiled measures.

    The learning rates are variables: one trace serves all of them. `frozen` variables are put back
    after each step.
    """

    def __init__(self, config, people):
        keras.utils.set_random_seed(0)
        self.config, self.people, self.frozen = config, people, []
        self.trainer = trainer = MetaTrainer(config, PEOPLE, dict, tf.distribute.get_strategy())
        for optimizer in (trainer.generator_optimizer, trainer.discriminator_optimizer):
            optimizer.rate = tf.Variable(optimizer.rate)
        watched = next(episodes(people, config, 99, batch_size=4))
        networks = (config, trainer.embedder, trainer.generator)
        self.measure = tf.function(functools.partial(measure, *networks, watched, discriminator=trainer.discriminator))
        self._variables = variables_of(trainer.checkpoint)
        self._start = [v.numpy() for v in self._variables]

    def reset(self):
        for variable, value in zip(self._variables, self._start, strict=True):
            variable.assign(value)

    def train(self, steps, grace=0, patience=2):
        """The watchdog after so many steps."""
        thresholds = Thresholds(grace=grace, patience=patience, slow_patience=patience)
        watchdog = Watchdog(self.measure, EVERY, thresholds=thresholds)
        batches = episodes(self.people, self.config, 0, self.config.train.batch_size)
        kept = [v.numpy() for v in self.frozen]
        for step in range(1, steps + 1):
            metrics = self.trainer.train_step(next(batches))
            for variable, value in zip(self.frozen, kept, strict=True):
                variable.assign(value)
            watchdog.after_step(step, metrics)
        return watchdog


def small(config, content_pixel=100.0, match=10.0, **model):
    """As the `tiny` preset weighs its losses: with content_pixel 10 the match loss kills most of ê.

    Without attention and with one D update, since tracing takes most of the time.
    """
    losses = dataclasses.replace(config.losses, content_pixel=content_pixel, match=match)
    model = dataclasses.replace(config.model, max_channels=32, attention=False, **model)
    train = dataclasses.replace(config.train, discriminator_steps=1)
    return dataclasses.replace(config, model=model, losses=losses, train=train)


@pytest.fixture(scope="module")
def compiled(nano_config, people):
    return Run(small(nano_config), people)


@pytest.fixture
def run(compiled):
    compiled.reset()
    return compiled


def test_healthy_run_raises_nothing(run):
    watchdog = run.train(140, grace=80)
    assert watchdog.raised == set(), watchdog.values
    # Not by a hair: the persons are told apart, and drawn differently.
    assert watchdog.values["watch/swap_to_real"] > 3 * Thresholds.swap
    assert watchdog.values["watch/embedding_spread"] > 10 * Thresholds.embedding_spread


def test_discriminator_wins_over_a_generator_that_lags_behind(run):
    run.trainer.generator_optimizer.rate.assign(1e-7)
    watchdog = run.train(80)
    assert "discriminator_saturated" in watchdog.raised, watchdog.values
    assert watchdog.values["watch/right_real"] == watchdog.values["watch/right_fake"] == 1
    assert not {n for n in watchdog.raised if n.startswith(("output", "embedding"))}


def test_discriminator_is_killed_by_its_learning_rate(run):
    run.trainer.discriminator_optimizer.rate.assign(200 * run.config.train.discriminator_learning_rate)
    watchdog = run.train(60)
    assert "discriminator_useless" in watchdog.raised, watchdog.values
    assert "discriminator_saturated" not in watchdog.raised


def test_generator_is_flattened_by_its_learning_rate(run):
    run.trainer.generator_optimizer.rate.assign(1.0)
    watchdog = run.train(30)
    assert {"output_flat", "output_same"} <= watchdog.raised, watchdog.values


@pytest.fixture(scope="module")
def frozen(nano_config, people):
    """P does not learn, and the match loss weighs eight times the content.

    Without spectral norm, which would divide a kernel of zeros by its norm.
    """
    config = small(nano_config, content_pixel=10.0, match=80.0, spectral_norm=False)
    run = Run(config, people)
    run.frozen = [run.trainer.generator.projection.kernel]
    return run


def test_projection_of_zeros_ignores_the_embedder(frozen):
    frozen.reset()
    kernel = frozen.trainer.generator.projection.kernel
    kernel.assign(tf.zeros_like(kernel))
    watchdog = frozen.train(20)
    assert "embedder_ignored" in watchdog.raised, watchdog.values
    assert not {n for n in watchdog.raised if n.startswith("output")}


def test_w_started_around_zero_kills_the_embedding(frozen):
    frozen.reset()
    w = frozen.trainer.discriminator.head.w
    w.assign(np.random.default_rng(0).uniform(-0.1, 0.1, w.shape))
    watchdog = frozen.train(60)
    assert {"embedding_dead", "embedding_vanishing", "embedding_same", "embedder_ignored"} <= watchdog.raised, (
        watchdog.values
    )
    assert not watchdog.raised & {"output_black", "output_flat", "discriminator_useless"}


def test_generator_is_saturated_by_a_huge_learning_rate(frozen):
    frozen.reset()
    frozen.trainer.generator_optimizer.rate.assign(3.0)
    watchdog = frozen.train(20)
    assert "output_saturated" in watchdog.raised, watchdog.values
