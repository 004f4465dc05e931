"""Few-shot learning by fine-tuning (paper section 3.3) as a Keras model for `fit`.

G' (ψ and ψ') and D' (θ, w', b) start from the meta-learned state: ψ' = P·ê_NEW, w' = w0 + ê_NEW.
So the first frame it draws is exactly the feed-forward one, and D' starts as eq. (5) with ê_NEW
in the place of W_i. One `train_step` is one update of ψ, ψ' on eq. (9) and
`discriminator_steps` updates of θ, w', b on eq. (10).

With `tune="psi"` ψ' alone is trained, and G' is the shared generator itself: its kernels and its
power iteration rest. What comes out is a person card that the shared generator draws.
"""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_talking.layers.spectral_norm import power_iteration
from tf_talking.losses import Features, discriminator_terms, hinge_loss, image_terms, weighted_sum
from tf_talking.networks.discriminator import W_START, DiscriminatorFeatures, realism_score
from tf_talking.networks.generator import Generator, neutral_adain_params
from tf_talking.networks.images import landmark_images, to_float
from tf_talking.networks.meta_learned import MetaLearned, draw_frames
from training.finetuning.publish import PersonToServe
from training.updates.adam import Adam
from training.updates.gradients import Tensors
from training.updates.guard import GuardedUpdates

TUNE = ("full", "psi")
PRECISIONS = ("float32", "bfloat16")  # float16 would need a loss scale
RANDOM_SPREAD = 0.02  # standard deviation of a random ψ', as norms' scales are often started


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
        self._means = _Untracked({})
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
    def drawn_variables(self) -> list[tf.Variable]:
        """What fine-tuning changes of that which draws: the EMA copies of ψ and ψ', or of ψ'."""
        own = self.ema_generator.variables if self._own_generators else []
        return [*own, self.ema_adain_params]

    def _vector(self, name: str, value, trainable: bool = True) -> tf.Variable:
        value = np.asarray(value)
        return self.add_weight(
            name=name,
            shape=value.shape,
            initializer=keras.initializers.Constant(value),
            trainable=trainable,
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
        self._guard = _Untracked(GuardedUpdates())
        super().compile(**kwargs)

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
        return list(self._means.value.values())

    def call(self, landmarks, training=False):
        """Landmarks float32 [B, P, 2] in pixels → frames uint8 [B, S, S, 3] of the EMA copy."""
        return draw_frames(self.config, self.ema_generator, landmarks, self.ema_adain_params)

    def train_step(self, data):
        """data: {"frames": uint8 [B, S, S, 3], "landmarks": float32 [B, P, 2]}.

        As in meta-learning (`meta_passes.py`), one pass of D over real and generated frames gives
        the gradients of eq. (9) and those of eq. (10) for D's first update.
        """
        real, drawn = to_float(data["frames"]), landmark_images(self.config, data["landmarks"])
        adversarial = self.config.finetune.adversarial
        if self._own_generators:  # the shared kernels and their σ stay as they are served
            power_iteration(self.generator)
        if adversarial:
            power_iteration(self.features)
        fake, generator, discriminator, values = self._first_pass(real, drawn)
        skipped = self._apply(
            self.generator_optimizer, generator, self._generator_variables, values["generator_loss"]
        )
        for update in range(self.config.finetune.discriminator_steps if adversarial else 0):
            if update:
                power_iteration(self.features)
                discriminator, more = self._second_pass(real, fake, drawn)
                values.update(more)
            skipped += self._apply(
                self.discriminator_optimizer,
                discriminator,
                self._discriminator_variables,
                values["discriminator_loss"],
            )
        self._update_ema()
        return self.log_means({**values, "skipped": skipped})

    def log_means(self, values: Tensors) -> Tensors:
        """Takes a step's values into the means over the epoch; returns these."""
        means = self._means.value
        for name, value in values.items():
            if name not in means:
                means[name] = keras.metrics.Mean(name=name)
            means[name].update_state(value)
        return {name: mean.result() for name, mean in means.items()}

    def score(self, frames, drawn):
        """D'(x, y; θ, w', b), eq. (8): → (raw scores [B], activations of V)."""
        vector, activations = self.features(frames, drawn)
        return realism_score(vector, self.w, self.bias), activations

    def _first_pass(self, real, drawn):
        """x̂, gradients of ψ and ψ' (eq. 9), of θ, w' and b (eq. 10; None: D rests), values."""
        losses = self.config.losses
        with tf.GradientTape(watch_accessed_variables=False) as generator_tape:
            generator_tape.watch(self._generator_variables)
            psi = tf.repeat(self.adain_params[tf.newaxis], tf.shape(real)[0], axis=0)
            generated = self.generator(drawn, psi)
        fake = tf.stop_gradient(generated)
        frame_gradient, terms, discriminator, values = tf.zeros_like(fake), {}, None, {}
        if self.config.finetune.adversarial:
            with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
                tape.watch([fake, *self._discriminator_variables])
                scores, activations = self._score_both(real, fake, drawn)
                halves = [tf.split(a, 2) for a in activations]
                terms = discriminator_terms(
                    losses, scores[1], [h[1] for h in halves], [h[0] for h in halves]
                )
                to_generator = weighted_sum(losses, terms) if terms else None
                hinge = hinge_loss(*scores)
            discriminator = tape.gradient(hinge, self._discriminator_variables)
            if terms:
                frame_gradient += tape.gradient(to_generator, fake)
            del tape
            values = _discriminator_values(hinge, *scores)
        with tf.GradientTape(watch_accessed_variables=False) as content_tape:
            content_tape.watch(fake)
            content_terms = image_terms(losses, self._content.value, real, fake)
            content = weighted_sum(losses, content_terms) if content_terms else None
        if content_terms:
            frame_gradient += content_tape.gradient(content, fake)
        generator = generator_tape.gradient(
            generated, self._generator_variables, output_gradients=frame_gradient
        )
        terms = {**content_terms, **terms}
        values |= {**terms, "generator_loss": weighted_sum(losses, terms)}
        values["l1"] = tf.reduce_mean(tf.abs(fake - real)) / 2.0
        return fake, generator, discriminator, values

    def _second_pass(self, real, fake, drawn):
        """Gradients of θ, w' and b for a further update (eq. 10), and values."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._discriminator_variables)
            scores, _ = self._score_both(real, fake, drawn)
            hinge = hinge_loss(*scores)
        gradients = tape.gradient(hinge, self._discriminator_variables)
        return gradients, _discriminator_values(hinge, *scores)

    def _score_both(self, real, fake, drawn):
        """((scores of real [B], of generated frames [B]), activations of both [2B, …])."""
        frames, images = tf.concat([real, fake], axis=0), tf.concat([drawn, drawn], axis=0)
        scores, activations = self.score(frames, images)
        return tf.split(scores, 2), activations

    def _apply(self, optimizer: Adam, gradients, variables, loss) -> tf.Tensor:
        """One update with the mean over the replicas; returns 1 where it was left out, else 0."""
        share = 1.0 / tf.distribute.get_strategy().num_replicas_in_sync
        gradients = [share * gradient for gradient in gradients] if share < 1.0 else gradients
        return self._guard.value.apply(optimizer.apply, gradients, variables, loss)[1]

    def person(self, num_frames: int, source: str = "", source_frame=None) -> PersonToServe:
        """What `ExportForServing` publishes: the EMA copy of ψ (where it is trained) and ψ'."""
        return PersonToServe(
            self.config,
            self.ema_adain_params.numpy(),
            self.embedding,
            num_frames,
            generator=self.ema_generator if self._own_generators else None,
            source=source,
            source_frame=source_frame,
            tune=self.tune,
        )

    def _update_ema(self):
        decay = self.config.finetune.ema_decay
        averaged = [self.ema_adain_params]
        if self._own_generators:
            averaged = [*self.ema_generator.trainable_variables, self.ema_adain_params]
            spectral = self.ema_generator.non_trainable_variables  # u and v
            for ema, value in zip(spectral, self.generator.non_trainable_variables, strict=True):
                ema.assign(value)
        for ema, value in zip(averaged, self._generator_variables, strict=True):
            ema.assign_sub((1.0 - decay) * (ema - value))


def _discriminator_values(hinge, real_scores, fake_scores) -> Tensors:
    return {
        "discriminator_loss": hinge,
        "score_real": tf.reduce_mean(real_scores),
        "score_fake": tf.reduce_mean(fake_scores),
    }


class _Untracked:
    """Holds a value out of sight of Keras's attribute tracking."""

    def __init__(self, value):
        self.value = value


def start_vectors(
    learned: MetaLearned, embedding: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(ψ', w') before fine-tuning, as `finetune.adain_init` and `finetune.w_init` say.

    ψ' = Pê_NEW and w' = w0 + ê_NEW (section 3.3), or, for the ablations of appendix A.2, drawn at
    random: ψ' around the identity of AdaIN (scale 1, shift 0), w' = w0 + a row as W's were at the
    start of meta-learning.
    """
    finetune, head = learned.config.finetune, learned.discriminator.head
    generator = np.random.default_rng(seed)
    adain_params = learned.project_person(embedding)
    if finetune.adain_init == "random":
        neutral = neutral_adain_params(learned.config.model)
        adain_params = neutral + generator.normal(0.0, RANDOM_SPREAD, neutral.shape)
    row = embedding
    if finetune.w_init == "random":
        row = generator.uniform(0.0, 2 * W_START, embedding.shape)
    return adain_params.astype(np.float32), (head.w0.numpy() + row).astype(np.float32)


def copy_generator(source: Generator, copy: Generator) -> None:
    """Copies every weight but P's. `copy` has no projection."""
    projection = {id(v) for v in source.projection.weights} if source.projection else set()
    weights = [v for v in source.weights if id(v) not in projection]
    for target, value in zip(copy.weights, weights, strict=True):
        target.assign(value)
