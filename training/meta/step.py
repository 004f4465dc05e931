"""Meta-learning (paper section 3.2): the three networks, their state and one training step.

One step on a batch of episodes is one E+G update (eq. 3) followed by `discriminator_steps`
updates of D (eq. 6), all in one compiled function: `training.updates.adversarial`, with E, P and G
as those who make the frame, and W_i + w0 as the vector that scores it. EMA copies of E and G
follow; they are what is previewed, evaluated and exported.
"""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from tf_talking.config import Config, to_json
from tf_talking.losses import Features
from tf_talking.networks.borrowed_identity import person_vector
from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.images import landmark_images, to_float
from training.meta.loop import STOP, Scalars
from training.meta.options import StepOptions
from training.runs.devices import num_workers
from training.updates import ema
from training.updates.adam import Adam, RowAdam
from training.updates.adversarial import AdversarialUpdate, Players
from training.updates.gradients import Tensors
from training.updates.guard import Guard, counter


class MetaTrainer:
    """Networks, optimisers and the compiled step.

    Args:
      config: the resolved config.
      num_videos: M, rows of W.
      build_content: called under the strategy's scope; returns name → feature network.
      strategy: a tf.distribute strategy; batches are split over its replicas.
      options: how the step is computed.

    Raises:
      ValueError: the batch can not be split over replicas and parts.
    """

    def __init__(
        self,
        config: Config,
        num_videos: int,
        build_content: Callable[[], Mapping[str, Features]],
        strategy: tf.distribute.Strategy,
        options: StepOptions | None = None,
    ):
        options = options or StepOptions()
        self.several_workers = num_workers(strategy) > 1
        self.config, self.strategy, self.options = config, strategy, options
        options.check_batch(config.train.batch_size, strategy.num_replicas_in_sync)
        networks = dict(precision=options.precision, recompute=options.recompute)
        with strategy.scope():
            self.content = dict(build_content())
            self.embedder = Embedder(config.model, name="embedder", **networks)
            self.generator = Generator(config.model, name="generator", **networks)
            self.discriminator = Discriminator(config.model, num_videos, name="discriminator", **networks)
            self.ema_embedder = Embedder(config.model, name="ema_embedder")
            self.ema_generator = Generator(config.model, name="ema_generator")
            self.generator_variables = [*self.embedder.trainable_variables, *self.generator.trainable_variables]
            # W's gradient is taken by rows, unless a norm over all of W makes it dense.
            w = None if self.discriminator.head.spectral_norm else self.discriminator.head.w
            self.discriminator_variables = [v for v in self.discriminator.trainable_variables if v is not w]
            self.ema_embedder.set_weights(self.embedder.get_weights())
            self.ema_generator.set_weights(self.generator.get_weights())
            self._make_optimizers()
            self.guard = self._make_guard()
            self.step = counter("step")
            self.episodes = counter("episodes")
        optional = {"w_optimizer": self.w_optimizer} if self.w_optimizer else {}
        self.checkpoint = tf.train.Checkpoint(
            embedder=self.embedder,
            generator=self.generator,
            discriminator=self.discriminator,
            ema_embedder=self.ema_embedder,
            ema_generator=self.ema_generator,
            generator_optimizer=self.generator_optimizer,
            discriminator_optimizer=self.discriminator_optimizer,
            step=self.step,
            episodes=self.episodes,
            updates=self.guard.counters,
            config=tf.Variable(to_json(config), name="config"),
            **optional,
        )
        self._names: list[str] = []
        # Where replicas meet in the step (merge_call), XLA gets the passes between the meetings.
        mirrored = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)
        whole = options.jit_compile and not isinstance(strategy, mirrored)
        self.adversarial = AdversarialUpdate(
            config,
            self._players(),
            self.guard,
            self.content,
            config.train.discriminator_steps,
            accumulate=options.accumulate,
            compile_passes=options.jit_compile and not whole,
        )
        self._step_function = tf.function(self._packed_step, jit_compile=whole or None, autograph=False)
        self._several_steps = tf.function(self._steps_of_iterator)

    def _make_optimizers(self):
        train, head = self.config.train, self.discriminator.head
        adam = (train.adam_beta_1, train.adam_beta_2, train.adam_epsilon)

        def decayed(rate: float):
            return keras.optimizers.schedules.CosineDecay(rate, train.decay_steps)

        rate = train.learning_rate
        if train.decay_steps:
            rate = decayed(rate)
        self.generator_optimizer = Adam(self.generator_variables, rate, *adam)
        rate = train.discriminator_learning_rate
        if train.decay_steps and train.decay_discriminator:
            rate = decayed(rate)
        self.discriminator_optimizer = Adam(self.discriminator_variables, rate, *adam)
        self.w_optimizer = None if head.spectral_norm else RowAdam(head.w, rate, *adam)

    def _make_guard(self) -> Guard:
        optimizers = {
            "generator": [(self.generator_optimizer, self.generator_variables)],
            "discriminator": [(self.discriminator_optimizer, self.discriminator_variables)],
        }
        if self.w_optimizer:
            optimizers["discriminator"].append((self.w_optimizer, [self.discriminator.head.w]))
        return Guard(optimizers, scaled=self.options.precision == "float16")

    def _players(self) -> Players:
        head = self.discriminator.head
        return Players(
            draw=self._draw,
            generator_variables=self.generator_variables,
            features=self.discriminator.features,
            vector=lambda w: w + head.common_vector(),
            bias=head.bias,
            discriminator_variables=self.discriminator_variables,
            generator_networks=(self.embedder, self.generator),
            discriminator=self.discriminator,
            video_embedding=lambda batch: head.video_embedding(batch["video_index"]),
            rows_of=None if head.spectral_norm else head.w,
        )

    def _draw(self, batch: Tensors, landmarks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(G(y_t, ψ̂), the vectors of the K source frames, whose mean ê is)."""
        drawn = landmark_images(self.config, batch["source_landmarks"])
        vectors = self.embedder.embed_frames(to_float(batch["source_frames"]), drawn)
        person = embedding = tf.reduce_mean(vectors, axis=1)
        if self.config.model.borrowed_identity != "none":
            person = person_vector(embedding, batch["source_identity"])
        return self.generator(landmarks, self.generator.project(person)), vectors

    def train_step(self, batch: Mapping[str, tf.Tensor], stop: bool = False) -> Scalars:
        """One step on a (distributed) batch of episodes.

        Args:
          batch: as `EpisodeDataset` yields it.
          stop: this worker was asked to stop; "control/stop" tells it to all of them.

        Returns:
          Scalars by name, for the log.
        """
        return self._scalars(self._step_function(batch, tf.constant(float(stop))))

    def train_steps(self, iterator, count: int, stop: bool = False) -> Scalars:
        """`count` steps in one call, on batches drawn inside the graph; scalars of the last one."""
        values = self._several_steps(iterator, tf.constant(count), tf.constant(float(stop)))
        return self._scalars(values)

    def _scalars(self, values: tf.Tensor) -> Scalars:
        return Scalars(self._names, values)

    def _steps_of_iterator(self, iterator, count, stop):
        values = self._step_function(next(iterator), stop)
        for _ in tf.range(count - 1):
            values = self._step_function(next(iterator), stop)
        return values

    def _packed_step(self, batch, stop):
        """One vector of scalars: one reduction over the replicas and one copy to the host."""
        metrics = self.strategy.run(self._replica_step, args=(batch, stop))
        self._update_ema()
        self.step.assign_add(1)
        self.episodes.assign_add(self.config.train.batch_size)
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, metrics, axis=None)

    def _update_ema(self):
        copies = [*self.ema_embedder.weights, *self.ema_generator.weights]
        weights = [*self.embedder.weights, *self.generator.weights]
        updates = self.step if self.config.train.ema_warm_up else None
        ema.follow(self.strategy, copies, weights, self.config.train.ema_decay, updates)

    def _replica_step(self, batch, stop):
        metrics, skipped = self.adversarial.step(batch)
        metrics.update(self.guard.count(skipped, batch.get("skipped")))
        if self.several_workers:
            metrics[STOP] = stop
        self._names = sorted(metrics)
        return tf.stack([tf.cast(metrics[name], tf.float32) for name in self._names])
