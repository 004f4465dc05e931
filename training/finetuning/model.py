"""Few-shot learning by fine-tuning (paper section 3.3) as a Keras model for `fit`.

G' (ψ and ψ') and D' (θ, w', b) start from the meta-learned state: ψ' = P·ê_NEW, w' = w0 + ê_NEW.
So the first frame it draws is exactly the feed-forward one, and D' starts as eq. (5) with ê_NEW
in the place of W_i. One `train_step` is one update of ψ, ψ' on eq. (9) and
`discriminator_steps` updates of θ, w', b on eq. (10): `training.updates.adversarial`.

With `tune="psi"` ψ' alone is trained, and G' is the shared generator itself: its kernels and its
power iteration rest. What comes out is a person card that the shared generator draws.
"""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_talking.losses import Features
from tf_talking.networks.discriminator import DiscriminatorFeatures, realism_score
from tf_talking.networks.generator import Generator
from tf_talking.networks.meta_learned import MetaLearned, draw_frames
from training.finetuning.means import MeansByName
from training.finetuning.start import copy_generator, start_vectors
from training.updates import ema
from training.updates.adam import Adam
from training.updates.adversarial import AdversarialUpdate, Players
from training.updates.gradients import Tensors
from training.updates.guard import Guard

TUNE = ("full", "psi")
PRECISIONS = ("float32", "bfloat16")  # float16 would need a loss scale


class PersonalModel(keras.Model):
    """G' and D' of one person.

    Args:
      learned: meta-learned networks with their discriminator; they are copied, not changed.
      embedding: ê_NEW, float32 [N] (eq. 7).
      content: name → feature network of the content loss.
      tune: "full" trains ψ and ψ', "psi" trains ψ' only.
      seed: of what the config asks to start at random (`finetune.w_init`, `finetune.adain_init`).
      precision: type of the activations in training, "float32" or "bfloat16"; the EMA copy, which
        draws, and the shared generator compute in float32.

    Raises:
      ValueError: another `tune` or `precision`, or a config that leaves no term in the objective.
    """

    def __init__(
        self,
        learned: MetaLearned,
        embedding: np.ndarray,
        content: Mapping[str, Features] | None = None,
        tune: str = "full",
        seed: int = 0,
        precision: str = "float32",
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, known in (("tune", tune, TUNE), ("precision", precision, PRECISIONS)):
            if value not in known:
                raise ValueError(f"{name}: got {value!r}, expected one of {list(known)}")
        config = learned.config
        losses = config.losses
        content_terms = (losses.content_vgg19, losses.content_face, losses.content_pixel)
        if not config.finetune.adversarial and not any(content_terms):
            raise ValueError("finetune.adversarial is off and no content term has a weight")
        self.config, self.tune = config, tune
        self.embedding = np.asarray(embedding, np.float32)
        # Not tracked by Keras: frozen networks are neither saved nor counted with the person's.
        self._content = _Untracked(content or {})
        self._learned = _Untracked(learned)
        self._own_generators = []
        if tune == "full":
            for name, own in (("generator", precision), ("ema_generator", "float32")):
                copy = Generator(config.model, with_projection=False, precision=own, name=name)
                copy_generator(learned.generator, copy)
                self._own_generators.append(copy)
        self.features = DiscriminatorFeatures(config.model, precision, name="features")
        self.features.set_weights(learned.discriminator.features.get_weights())
        adain_params, w = start_vectors(learned, self.embedding, seed)
        self.adain_params = self._vector("adain_params", adain_params)
        self.ema_adain_params = self._vector("ema_adain_params", adain_params, trainable=False)
        self.w = self._vector("w", w)
        self.bias = self._vector("b", learned.discriminator.head.bias)
        self._generator_variables = [self.adain_params]
        if self._own_generators:
            self._generator_variables = [*self.generator.trainable_variables, self.adain_params]
        self._discriminator_variables = [*self.features.trainable_variables, self.w, self.bias]
        # Not tracked either: restored from a backup, they would go into the next epoch's means.
        self._means = _Untracked(MeansByName())
        self.built = True

    @property
    def generator(self) -> Generator:
        """G' as it is trained; with `tune="psi"` the shared one."""
        return self._own_generators[0] if self._own_generators else self._learned.value.generator

    @property
    def ema_generator(self) -> Generator:
        """The EMA copy of G', which is drawn with and exported; or the shared one."""
        return self._own_generators[1] if self._own_generators else self._learned.value.generator

    @property
    def own_generator(self) -> Generator | None:
        """The EMA copy of G', to be exported for the person; None: the shared one draws."""
        return self._own_generators[1] if self._own_generators else None

    @property
    def drawn_variables(self) -> list[tf.Variable]:
        """What fine-tuning changes of that which draws: the EMA copies of ψ and ψ', or of ψ'."""
        own = self.ema_generator.variables if self._own_generators else []
        return [*own, self.ema_adain_params]

    def _vector(self, name: str, value, trainable: bool = True) -> tf.Variable:
        value = np.asarray(value)
        return self.add_weight(
            name=name, shape=value.shape, initializer=keras.initializers.Constant(value), trainable=trainable
        )

    def compile(self, **kwargs):
        """Makes the two Adam optimisers of the config; arguments go to `keras.Model.compile`."""
        train, finetune = self.config.train, self.config.finetune
        adam = (train.adam_beta_1, train.adam_beta_2, train.adam_epsilon)
        rate = finetune.learning_rate if self.tune == "full" else finetune.psi_learning_rate
        generator = Adam(self._generator_variables, rate, *adam)
        rate = finetune.discriminator_learning_rate
        discriminator = Adam(self._discriminator_variables, rate, *adam)
        # In backups, but not among the model's weights.
        self._optimizers = tf.train.Checkpoint(generator=generator, discriminator=discriminator)
        guard = Guard(
            {
                "generator": [(generator, self._generator_variables)],
                "discriminator": [(discriminator, self._discriminator_variables)],
            }
        )
        update = AdversarialUpdate(
            self.config, self._players(), guard, self._content.value, finetune.discriminator_steps, finetune.adversarial
        )
        self._update = _Untracked(update)
        super().compile(**kwargs)

    def _players(self) -> Players:
        return Players(
            draw=self._draw,
            generator_variables=self._generator_variables,
            features=self.features,
            vector=lambda _: self.w,
            bias=self.bias,
            discriminator_variables=self._discriminator_variables,
            # The shared kernels and their σ stay as they are served.
            generator_networks=self._own_generators[:1],
            discriminator=self.features,
        )

    def _draw(self, batch: Tensors, landmarks: tf.Tensor) -> tuple[tf.Tensor, None]:
        """(G'(y_t; ψ, ψ'), no ê: it is w' that was begun with it)."""
        psi = tf.repeat(self.adain_params[tf.newaxis], tf.shape(landmarks)[0], axis=0)
        return self.generator(landmarks, psi), None

    @property
    def generator_optimizer(self):
        """Adam of ψ and ψ', or of ψ' alone."""
        return self._optimizers.generator

    @property
    def discriminator_optimizer(self):
        """Adam of θ, w' and b."""
        return self._optimizers.discriminator

    def restart(self, embedding: np.ndarray, seed: int = 0) -> None:
        """Back to where fine-tuning begins, for another ê_NEW; what was traced for `fit` stays.

        Equal to a new compiled model, without the seconds that tracing takes.
        """
        learned = self._learned.value
        self.embedding = np.asarray(embedding, np.float32)
        for copy in self._own_generators:
            copy_generator(learned.generator, copy)
        self.features.set_weights(learned.discriminator.features.get_weights())
        adain_params, w = start_vectors(learned, self.embedding, seed)
        for variable in (self.adain_params, self.ema_adain_params):
            variable.assign(adain_params)
        self.w.assign(w)
        self.bias.assign(learned.discriminator.head.bias)
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for variable in optimizer.variables:
                variable.assign(tf.zeros_like(variable))

    @property
    def metrics(self):
        """Means over the epoch of every logged term."""
        return [self._means.value]

    def call(self, landmarks, training=False):
        """Landmarks float32 [B, P, 2] in pixels → frames uint8 [B, S, S, 3] of the EMA copy."""
        return draw_frames(self.config, self.ema_generator, landmarks, self.ema_adain_params)

    @tf.autograph.experimental.do_not_convert  # plain TensorFlow; converting takes seconds
    def train_step(self, data):
        """data: {"frames": uint8 [B, S, S, 3], "landmarks": float32 [B, P, 2]}."""
        batch = {"target_frame": data["frames"], "target_landmarks": data["landmarks"]}
        values, skipped = self._update.value.step(batch)
        self._update_ema()
        return self.log_means({**values, "skipped/updates": skipped})

    def log_means(self, values: Tensors) -> Tensors:
        """Takes a step's values into the means over the epoch; returns these."""
        means = self._means.value
        means.update_state(values)
        return means.result()

    def score(self, frames, drawn):
        """D'(x, y; θ, w', b), eq. (8): → (raw scores [B], activations of V)."""
        vector, activations = self.features(frames, drawn)
        return realism_score(vector, self.w, self.bias), activations

    def _update_ema(self):
        copies, weights = [self.ema_adain_params], [self.adain_params]
        if self._own_generators:
            copies += self.ema_generator.weights
            weights += self.generator.weights
        decay, before = self.config.finetune.ema_decay, self.generator_optimizer.iterations - 1

        def follow(strategy):
            # Warmed up: 40 updates by a decay of 0.972 alone would leave a third of the start in.
            ema.follow(strategy, copies, weights, decay, before)

        tf.distribute.get_replica_context().merge_call(follow)


class _Untracked:
    """Holds a value out of sight of Keras's attribute tracking."""

    def __init__(self, value):
        self.value = value
