"""Meta-learning (paper section 3.2): the three networks, their optimisers and one training step.

One step on a batch of episodes is one E+G update (eq. 3) followed by `discriminator_steps`
updates of D (eq. 6). The fake frames are computed once, before the E+G update, and serve it and
the D updates. EMA copies of E and G follow; they are what is previewed, evaluated and exported.
"""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from tf_talking.addons import LazyAdam
from tf_talking.config import Config, to_json
from tf_talking.layers.spectral_norm import power_iteration
from tf_talking.losses.adversarial import hinge_loss
from tf_talking.losses.generator_terms import (
    Features,
    discriminator_terms,
    image_terms,
    weighted_sum,
)
from tf_talking.losses.match import match_loss
from tf_talking.models.discriminator import Discriminator
from tf_talking.models.embedder import Embedder
from tf_talking.models.generator import Generator
from tf_talking.models.images import landmark_images, to_float


class MetaTrainer:
    """Networks, optimisers and the compiled step.

    Args:
      config: the resolved config.
      num_videos: M, rows of W.
      build_content: called under the strategy's scope; returns name → feature network.
      strategy: a tf.distribute strategy; batches are split over its replicas.
    """

    def __init__(
        self,
        config: Config,
        num_videos: int,
        build_content: Callable[[], Mapping[str, Features]],
        strategy: tf.distribute.Strategy,
    ):
        self.config = config
        self.strategy = strategy
        with strategy.scope():
            self.content = dict(build_content())
            self.embedder = Embedder(config.model, name="embedder")
            self.generator = Generator(config.model, name="generator")
            self.discriminator = Discriminator(config.model, num_videos, name="discriminator")
            self.ema_embedder = Embedder(config.model, name="ema_embedder")
            self.ema_generator = Generator(config.model, name="ema_generator")
            self.ema_embedder.set_weights(self.embedder.get_weights())
            self.ema_generator.set_weights(self.generator.get_weights())
            self._make_optimizers()
            self.step = tf.Variable(0, dtype=tf.int64, name="step")
            self.episodes = tf.Variable(0, dtype=tf.int64, name="episodes")
        self.checkpoint = tf.train.Checkpoint(
            embedder=self.embedder,
            generator=self.generator,
            discriminator=self.discriminator,
            ema_embedder=self.ema_embedder,
            ema_generator=self.ema_generator,
            generator_optimizer=self.generator_optimizer,
            discriminator_optimizer=self.discriminator_optimizer,
            w_optimizer=self.w_optimizer,
            step=self.step,
            episodes=self.episodes,
            config=tf.Variable(to_json(config), name="config"),
        )
        self._compiled_step = tf.function(self.distributed_step)

    def _make_optimizers(self):
        train = self.config.train
        adam = dict(
            beta_1=train.adam_beta_1, beta_2=train.adam_beta_2, epsilon=train.adam_epsilon
        )
        self.generator_variables = (
            self.embedder.trainable_variables + self.generator.trainable_variables
        )
        head = self.discriminator.head
        self.discriminator_variables = [
            v for v in self.discriminator.trainable_variables if v is not head.w
        ]
        rate = train.learning_rate
        if train.decay_steps:
            rate = keras.optimizers.schedules.CosineDecay(rate, train.decay_steps)
        self.generator_optimizer = keras.optimizers.Adam(rate, **adam)
        self.generator_optimizer.build(self.generator_variables)
        rate = train.discriminator_learning_rate
        self.discriminator_optimizer = keras.optimizers.Adam(rate, **adam)
        self.discriminator_optimizer.build(self.discriminator_variables)
        # Row-wise: Adam itself would read and move all M rows in every step.
        self.w_optimizer = LazyAdam(rate, **adam)
        self.w_optimizer._create_all_weights([head.w])

    def train_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step on a (distributed) batch of episodes; returns scalars by name for the log."""
        return self._compiled_step(batch)

    def distributed_step(self, batch):
        """The step itself, not compiled."""
        metrics = self.strategy.run(self._replica_step, args=(batch,))
        self._update_ema(self.ema_embedder, self.embedder)
        self._update_ema(self.ema_generator, self.generator)
        self.step.assign_add(1)
        self.episodes.assign_add(self.config.train.batch_size)
        mean = tf.distribute.ReduceOp.MEAN
        return {name: self.strategy.reduce(mean, v, axis=None) for name, v in metrics.items()}

    def _replica_step(self, batch):
        target = to_float(batch["target_frame"])
        target_landmarks = landmark_images(self.config, batch["target_landmarks"])
        fake, metrics = self.generator_update(
            to_float(batch["source_frames"]),
            landmark_images(self.config, batch["source_landmarks"]),
            target,
            target_landmarks,
            batch["video_index"],
        )
        embedding = metrics.pop("embedding")
        for _ in range(self.config.train.discriminator_steps):
            metrics.update(
                self.discriminator_update(
                    fake, target, target_landmarks, batch["video_index"], embedding
                )
            )
        return metrics

    def generator_update(self, sources, source_landmarks, target, target_landmarks, video_index):
        """One update of E, G and P on eq. (3). All images float32 in [-1, 1].

        Returns (fake frames, metrics); metrics["embedding"] is ê [B, N].
        """
        losses = self.config.losses
        power_iteration(self.embedder)
        power_iteration(self.generator)
        _, real_activations = self.discriminator.features(target, target_landmarks)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.generator_variables)
            embedding = self.embedder.embed(sources, source_landmarks)
            fake = self.generator(target_landmarks, self.generator.project(embedding))
            scores, activations = self.discriminator(fake, target_landmarks, video_index)
            terms = image_terms(losses, self.content, target, fake)
            terms.update(discriminator_terms(losses, scores, activations, real_activations))
            w = tf.stop_gradient(self.discriminator.head.video_embedding(video_index))
            if losses.match:
                terms["match"] = match_loss(embedding, w)
            loss = weighted_sum(losses, terms)
            scaled = loss / self.strategy.num_replicas_in_sync  # the optimiser sums replicas
        gradients = tape.gradient(scaled, self.generator_variables)
        self.generator_optimizer.apply_gradients(
            zip(gradients, self.generator_variables, strict=True)
        )
        metrics = {f"loss/{name}": value for name, value in terms.items()}
        metrics["loss/generator"] = loss
        metrics["norm/embedding"] = tf.reduce_mean(tf.norm(embedding, axis=-1))
        metrics["norm/w"] = tf.reduce_mean(tf.norm(w, axis=-1))
        metrics["error/l1"] = tf.reduce_mean(tf.abs(fake - target)) / 2.0
        metrics["embedding"] = embedding
        return fake, metrics

    def discriminator_update(self, fake, target, target_landmarks, video_index, embedding):
        """One update of θ, W, w0 and b on eq. (6). Returns metrics."""
        losses, head = self.config.losses, self.discriminator.head
        fake = tf.stop_gradient(fake)
        power_iteration(self.discriminator.features)
        head.power_iteration()
        variables = [*self.discriminator_variables, head.w]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            real_scores, _ = self.discriminator(target, target_landmarks, video_index)
            fake_scores, _ = self.discriminator(fake, target_landmarks, video_index)
            hinge = hinge_loss(real_scores, fake_scores)
            loss = hinge
            if losses.match and not losses.match_detach_w:
                w = head.video_embedding(video_index)
                loss += losses.match * match_loss(tf.stop_gradient(embedding), w)
            scaled = loss / self.strategy.num_replicas_in_sync
        *gradients, w_gradient = tape.gradient(scaled, variables)
        self.discriminator_optimizer.apply_gradients(
            zip(gradients, self.discriminator_variables, strict=True)
        )
        self.w_optimizer.apply_gradients([(w_gradient, head.w)])
        return {
            "loss/discriminator": hinge,
            "score/real": tf.reduce_mean(real_scores),
            "score/fake": tf.reduce_mean(fake_scores),
            # 1: the hinge still pushes on every image; 0: D has won and G gets no new signal.
            "score/active_real": tf.reduce_mean(tf.cast(real_scores < 1.0, tf.float32)),
            "score/active_fake": tf.reduce_mean(tf.cast(fake_scores > -1.0, tf.float32)),
        }

    def _update_ema(self, ema_model, model):
        decay = self.config.train.ema_decay

        def average(ema, value):
            ema.assign(decay * ema + (1.0 - decay) * value)

        def copy(ema, value):
            ema.assign(value)

        for ema, value in zip(
            ema_model.trainable_weights, model.trainable_weights, strict=True
        ):
            self.strategy.extended.update(ema, average, args=(value,))
        # u and v of spectral norm are directions, not averages.
        for ema, value in zip(
            ema_model.non_trainable_weights, model.non_trainable_weights, strict=True
        ):
            self.strategy.extended.update(ema, copy, args=(value,))
