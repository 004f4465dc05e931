"""The straightforward step of fine-tuning: what `benchmarks.finetune_step` compares with.

The same updates from the same weights, written as one first writes them: D looks at real frames
for L_FM, at generated ones for eq. (9), and at both again for eq. (10); the optimisers are Keras'
Adam.
"""

import keras
import tensorflow as tf

from tf_talking.layers.spectral_norm import power_iteration
from tf_talking.losses import discriminator_terms, hinge_loss, image_terms, weighted_sum
from tf_talking.networks.images import landmark_images, to_float
from training.finetuning.model import PersonalModel


class StraightforwardPersonalModel(PersonalModel):
    """`PersonalModel` with another step; on one device."""

    def compile(self, **kwargs):
        super().compile(**kwargs)
        train, finetune = self.config.train, self.config.finetune
        adam = (train.adam_beta_1, train.adam_beta_2, train.adam_epsilon)
        rate = finetune.learning_rate if self.tune == "full" else finetune.psi_learning_rate
        generator = keras.optimizers.Adam(rate, *adam)
        generator.build(self._generator_variables)
        discriminator = keras.optimizers.Adam(finetune.discriminator_learning_rate, *adam)
        discriminator.build(self._discriminator_variables)
        self._optimizers = tf.train.Checkpoint(generator=generator, discriminator=discriminator)

    def train_step(self, data):
        real, drawn = to_float(data["frames"]), landmark_images(self.config, data["landmarks"])
        adversarial = self.config.finetune.adversarial
        if self._own_generators:
            power_iteration(self.generator)
        if adversarial:
            power_iteration(self.features)
        fake, values = self._update_generator(real, drawn)
        for update in range(self.config.finetune.discriminator_steps if adversarial else 0):
            if update:
                power_iteration(self.features)
            values.update(self._update_discriminator(real, fake, drawn))
        self._update_ema()
        return self.log_means(values)

    def _update_generator(self, real, drawn):
        losses = self.config.losses
        adversarial = self.config.finetune.adversarial
        if adversarial:
            _, real_activations = self.features(real, drawn)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._generator_variables)
            psi = tf.repeat(self.adain_params[tf.newaxis], tf.shape(real)[0], axis=0)
            fake = self.generator(drawn, psi)
            terms = image_terms(losses, self._content.value, real, fake)
            if adversarial:
                scores, activations = self.score(fake, drawn)
                terms.update(discriminator_terms(losses, scores, activations, real_activations))
            loss = weighted_sum(losses, terms)
        gradients = tape.gradient(loss, self._generator_variables)
        self.generator_optimizer.apply_gradients(zip(gradients, self._generator_variables, strict=True))
        values = {f"loss/{name}": value for name, value in (terms | {"generator": loss}).items()}
        values["grad_norm/generator"] = tf.linalg.global_norm(gradients)
        values["error/l1"] = tf.reduce_mean(tf.abs(fake - real)) / 2.0
        return tf.stop_gradient(fake), values

    def _update_discriminator(self, real, fake, drawn):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._discriminator_variables)
            real_scores, _ = self.score(real, drawn)
            fake_scores, _ = self.score(fake, drawn)
            loss = hinge_loss(real_scores, fake_scores)
        gradients = tape.gradient(loss, self._discriminator_variables)
        self.discriminator_optimizer.apply_gradients(zip(gradients, self._discriminator_variables, strict=True))
        return {
            "grad_norm/discriminator": tf.linalg.global_norm(gradients),
            "loss/discriminator": loss,
            "score/real": tf.reduce_mean(real_scores),
            "score/fake": tf.reduce_mean(fake_scores),
            "score/active_real": tf.reduce_mean(tf.cast(real_scores < 1.0, tf.float32)),
            "score/active_fake": tf.reduce_mean(tf.cast(fake_scores > -1.0, tf.float32)),
        }
