"""The straightforward compiled meta-training step: what `benchmarks.train_step` compares with.

It computes the same updates as `MetaTrainer` from the same weights, written as one first writes
them: E and G are run again for each update of D, D sees real and generated frames one after the
other, spectral norm does a power iteration and divides the kernel in every call, convolution and
resampling follow one another, and the optimisers are Keras' Adam and LazyAdam. E and G are updated
after D, so that D sees the same generated frames in both.
"""

import keras
import tensorflow as tf

from benchmarks.measuring.networks import unfold
from tf_talking.layers.addons import LazyAdam
from tf_talking.layers.spectral_norm import power_iteration
from tf_talking.losses import discriminator_terms, hinge_loss, image_terms, match_loss, weighted_sum
from tf_talking.networks.images import landmark_images, to_float
from training.meta.step import MetaTrainer


class ReferenceTrainer(MetaTrainer):
    """On one device, in float32."""

    def _make_optimizers(self):
        train, head = self.config.train, self.discriminator.head
        adam = (train.adam_beta_1, train.adam_beta_2, train.adam_epsilon)
        self.generator_optimizer = keras.optimizers.Adam(train.learning_rate, *adam)
        self.generator_optimizer.build(self.generator_variables)
        rate = train.discriminator_learning_rate
        self.discriminator_optimizer = keras.optimizers.Adam(rate, *adam)
        self.discriminator_optimizer.build(self.discriminator_variables)
        self.w_optimizer = LazyAdam(rate, *adam)
        self.w_optimizer._create_all_weights([head.w])
        for network in (self.embedder, self.generator, self.discriminator):
            unfold(network)

    def _packed_step(self, batch, stop):
        metrics = self._reference_step(batch)
        self._update_ema()
        self.step.assign_add(1)
        self._names = sorted(metrics)
        return tf.stack([metrics[name] for name in self._names])

    def _reference_step(self, batch):
        target, drawn = to_float(batch["target_frame"]), self._drawn(batch["target_landmarks"])
        losses, index = self.config.losses, batch["video_index"]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.generator_variables)
            embedding, fake = self._embed_and_generate(batch)
            scores, activations = self._discriminate(fake, drawn, index)
            _, real_activations = self._discriminate(target, drawn, index)
            terms = image_terms(losses, self.content, target, fake)
            terms.update(discriminator_terms(losses, scores, activations, real_activations))
            w = tf.stop_gradient(self.discriminator.head.video_embedding(index))
            terms["match"] = match_loss(embedding, w)
            loss = weighted_sum(losses, terms)
        gradients = tape.gradient(loss, self.generator_variables)
        metrics = {f"loss/{name}": value for name, value in terms.items()}
        metrics["loss/generator"] = loss
        for _ in range(self.config.train.discriminator_steps):
            _, fake = self._embed_and_generate(batch)
            metrics["loss/discriminator"] = self._update_discriminator(fake, target, drawn, index)
        self.generator_optimizer.apply_gradients(zip(gradients, self.generator_variables, strict=True))
        return metrics

    def _update_discriminator(self, fake, target, drawn, index):
        variables = [*self.discriminator_variables, self.discriminator.head.w]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            real_scores, _ = self._discriminate(target, drawn, index)
            fake_scores, _ = self._discriminate(fake, drawn, index)
            hinge = hinge_loss(real_scores, fake_scores)
        *gradients, w_gradient = tape.gradient(hinge, variables)
        self.discriminator_optimizer.apply_gradients(zip(gradients, self.discriminator_variables, strict=True))
        self.w_optimizer.apply_gradients([(w_gradient, self.discriminator.head.w)])
        return hinge

    def _embed_and_generate(self, batch):
        power_iteration(self.embedder)
        power_iteration(self.generator)
        embedding = self.embedder.embed(to_float(batch["source_frames"]), self._drawn(batch["source_landmarks"]))
        drawn = self._drawn(batch["target_landmarks"])
        return embedding, self.generator(drawn, self.generator.project(embedding))

    def _discriminate(self, frames, drawn, index):
        power_iteration(self.discriminator.features)
        return self.discriminator(frames, drawn, index)

    def _drawn(self, landmarks):
        return landmark_images(self.config, landmarks)
