"""Meta-learning (paper section 3.2): the three networks, their state and one training step.

One step on a batch of episodes is one E+G update (eq. 3) followed by `discriminator_steps`
updates of D (eq. 6), all in one compiled function. The passes are in `meta_passes.py`; their
gradients are reduced over the replicas, checked and applied by `guarded_updates.py`. EMA copies of
E and G follow; they are what is previewed, evaluated and exported.

Power iteration: once a step for E, G and D before the first pass, once more for D before each
further update of D.
"""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from tf_talking.config import Config, to_json
from tf_talking.layers.spectral_norm import power_iteration
from tf_talking.losses import Features
from tf_talking.networks.discriminator import Discriminator
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from training.meta.loop import STOP
from training.meta.options import StepOptions
from training.meta.passes import MetaPasses
from training.meta.scalars import Scalars
from training.runs.devices import num_workers
from training.updates.adam import Adam
from training.updates.gradients import Tensors
from training.updates.guard import GuardedUpdates, counter
from training.updates.row_adam import RowAdam


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
            self.discriminator = Discriminator(
                config.model, num_videos, name="discriminator", **networks
            )
            self.ema_embedder = Embedder(config.model, name="ema_embedder")
            self.ema_generator = Generator(config.model, name="ema_generator")
            self.ema_embedder.set_weights(self.embedder.get_weights())
            self.ema_generator.set_weights(self.generator.get_weights())
            self.passes = MetaPasses(
                config,
                self.embedder,
                self.generator,
                self.discriminator,
                self.content,
                options.accumulate,
            )
            self._make_optimizers()
            self.updates = GuardedUpdates(scaled=options.precision == "float16")
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
            updates=self.updates,
            config=tf.Variable(to_json(config), name="config"),
            **optional,
        )
        self._names: list[str] = []
        # Where replicas meet in the step (merge_call), XLA gets the passes between the meetings.
        mirrored = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)
        whole = options.jit_compile and not isinstance(strategy, mirrored)
        self._step_function = tf.function(
            self._packed_step, jit_compile=whole or None, autograph=False
        )
        self._several_steps = tf.function(self._steps_of_iterator)
        self._first, self._second = self.passes.first, self.passes.second
        if options.jit_compile and not whole:
            self._first = tf.function(self._first, jit_compile=True, autograph=False)
            self._second = tf.function(self._second, jit_compile=True, autograph=False)

    def _make_optimizers(self):
        train, head = self.config.train, self.discriminator.head
        adam = (train.adam_beta_1, train.adam_beta_2, train.adam_epsilon)
        self.generator_variables = self.passes.generator_variables
        self.discriminator_variables = self.passes.discriminator_variables
        rate = train.learning_rate
        if train.decay_steps:
            rate = keras.optimizers.schedules.CosineDecay(rate, train.decay_steps)
        self.generator_optimizer = Adam(self.generator_variables, rate, *adam)
        rate = train.discriminator_learning_rate
        self.discriminator_optimizer = Adam(self.discriminator_variables, rate, *adam)
        self.w_optimizer = RowAdam(head.w, rate, *adam) if self.passes.by_rows else None

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

    def distributed_step(self, batch) -> Tensors:
        """The step itself, not compiled: scalars by name."""
        return dict(self._scalars(self._packed_step(batch, tf.constant(0.0))))

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
        self._update_ema(self.ema_embedder, self.embedder)
        self._update_ema(self.ema_generator, self.generator)
        self.step.assign_add(1)
        self.episodes.assign_add(self.config.train.batch_size)
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, metrics, axis=None)

    def _replica_step(self, batch, stop):
        for network in (self.embedder, self.generator, self.discriminator):
            power_iteration(network)
        # Gradients are summed over the replicas.
        scale = self.updates.scale() / self.strategy.num_replicas_in_sync
        result = self._first(batch, scale)
        kept, metrics = result.kept, result.metrics
        generator_loss, hinge = metrics["loss/generator"], metrics["loss/discriminator"]
        metrics.update(self.apply_generator(result.generator, generator_loss))
        skipped = metrics.pop("skipped")
        metrics.update(self.apply_discriminator(result, hinge, batch["video_index"]))
        skipped += metrics.pop("skipped")
        for _ in range(1, self.config.train.discriminator_steps):
            self.discriminator.power_iteration()
            result = self._second(batch, kept, scale)
            metrics.update(result.metrics)
            hinge = metrics["loss/discriminator"]
            metrics.update(self.apply_discriminator(result, hinge, batch["video_index"]))
            skipped += metrics.pop("skipped")
        metrics.update(self.updates.count(skipped, batch.get("skipped")))
        if self.several_workers:
            metrics[STOP] = stop
        self._names = sorted(metrics)
        return tf.stack([tf.cast(metrics[name], tf.float32) for name in self._names])

    def apply_generator(self, gradients: list[tf.Tensor], loss: tf.Tensor) -> Tensors:
        """Update of E, G and P, in replica context.

        Returns:
          "grad_norm/generator", and "skipped": 1 where loss or gradients were not finite.
        """

        def apply(strategy, pairs, scale):
            self.generator_optimizer.apply(strategy, pairs, scale)

        norm, skipped = self.updates.apply(apply, gradients, self.generator_variables, loss)
        return {"grad_norm/generator": norm, "skipped": skipped}

    def apply_discriminator(self, result, loss: tf.Tensor, video_index: tf.Tensor) -> Tensors:
        """Update of θ, W, w0 and b, in replica context; returns as `apply_generator` does."""
        gradients, variables = list(result.discriminator), list(self.discriminator_variables)
        w = self.discriminator.head.w
        if result.rows is not None:
            shape = tf.constant(w.shape.as_list(), tf.int64)
            gradients.append(tf.IndexedSlices(result.rows, video_index, shape))
            variables.append(w)

        def apply(strategy, pairs, scale):
            if result.rows is not None:
                (rows, _) = pairs.pop()
                self.w_optimizer.apply(strategy, w, rows, scale)
            self.discriminator_optimizer.apply(strategy, pairs, scale)

        norm, skipped = self.updates.apply(apply, gradients, variables, loss)
        return {"grad_norm/discriminator": norm, "skipped": skipped}

    def _update_ema(self, ema_model, model):
        rest = 1.0 - self.config.train.ema_decay

        def average(ema, value):
            ema.assign_sub(rest * (ema - value))

        def copy(ema, value):
            ema.assign(value)

        for ema, value in zip(ema_model.trainable_weights, model.trainable_weights, strict=True):
            self.strategy.extended.update(ema, average, args=(value,))
        # u and v of spectral norm are directions, not averages.
        for ema, value in zip(
            ema_model.non_trainable_weights, model.non_trainable_weights, strict=True
        ):
            self.strategy.extended.update(ema, copy, args=(value,))
