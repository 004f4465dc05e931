"""The passes of one meta-training step through the networks: gradients, and nothing is changed.

First pass: E, G, P and D once. From the same forward pass come the gradients of eq. (3) for E, G
and P and those of eq. (6) for the first update of D: both belong to the weights at the start of
the step. x̂ is computed once; its gradient is the sum of what D and the content networks say about
it and then goes through G and E. D sees real and generated frames in one batch.

Second pass: D alone, for its further updates, on the same frames.

With `accumulate` parts, a pass goes over the parts of the batch one after the other and sums.
"""

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf

from tf_talking.config import Config
from tf_talking.losses import (
    Features,
    discriminator_terms,
    hinge_loss,
    image_terms,
    match_loss,
    weighted_sum,
)
from tf_talking.networks.discriminator import Discriminator, realism_score
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator
from tf_talking.networks.images import landmark_images, to_float
from training.updates.gradients import Gradients, Tensors, accumulate_parts


class MetaPasses:
    """Computes the gradients of a step.

    Args:
      config: the resolved config.
      embedder, generator, discriminator: E, G with P, D.
      content: name → feature network of the content loss.
      accumulate: parts of the batch.
    """

    def __init__(
        self,
        config: Config,
        embedder: Embedder,
        generator: Generator,
        discriminator: Discriminator,
        content: Mapping[str, Features],
        accumulate: int = 1,
    ):
        self.config, self.content, self.accumulate = config, content, accumulate
        self.embedder, self.generator = embedder, generator
        self.discriminator, self.head = discriminator, discriminator.head
        self.generator_variables = [*embedder.trainable_variables, *generator.trainable_variables]
        # W's gradient is taken by rows, unless a norm over all of W makes it dense.
        self.by_rows = not self.head.spectral_norm
        self.discriminator_variables = [
            v for v in discriminator.trainable_variables if not (self.by_rows and v is self.head.w)
        ]

    def first(self, batch: Tensors, scale: tf.Tensor) -> Gradients:
        """Gradients for E, G, P and for D's first update.

        Args:
          batch: episodes of this replica, as `EpisodeDataset` yields them.
          scale: float32 scalar that multiplies every loss before it is differentiated.
        """
        return self._over_parts(batch, lambda part: self._first(part, scale / self.accumulate))

    def second(self, batch: Tensors, kept: Tensors, scale: tf.Tensor) -> Gradients:
        """Gradients for a further update of D on the frames of the first pass."""
        return self._over_parts(
            {**batch, **kept}, lambda part: self._second(part, scale / self.accumulate)
        )

    def _first(self, batch: Tensors, scale: tf.Tensor) -> Gradients:
        losses = self.config.losses
        sources = to_float(batch["source_frames"])
        source_landmarks = landmark_images(self.config, batch["source_landmarks"])
        target, landmarks = self._target(batch)
        w = tf.stop_gradient(self.head.video_embedding(batch["video_index"]))
        with tf.GradientTape(watch_accessed_variables=False) as networks_tape:
            networks_tape.watch(self.generator_variables)
            embedding = self.embedder.embed(sources, source_landmarks)
            generated = self.generator(landmarks, self.generator.project(embedding))
            match = match_loss(embedding, w)
            scaled_match = scale * losses.match * match
        fake = tf.stop_gradient(generated)
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
            tape.watch(fake)
            rows = self._watch_discriminator(tape, batch["video_index"])
            scores = self._score(target, fake, landmarks, rows, batch["video_index"])
            terms = discriminator_terms(
                losses, scores.fake, scores.fake_activations, scores.real_activations
            )
            to_generator = scale * weighted_sum(losses, terms) if terms else None
            hinge, scaled = self._discriminator_loss(scores, embedding, rows, batch, scale)
        discriminator, row_gradients = self._split_rows(
            tape.gradient(scaled, [*self.discriminator_variables, *rows])
        )
        frame_gradient = tf.zeros_like(fake)
        if to_generator is not None:
            frame_gradient += tape.gradient(to_generator, fake)
        del tape
        with tf.GradientTape(watch_accessed_variables=False) as content_tape:
            content_tape.watch(fake)
            content_terms = image_terms(losses, self.content, target, fake)
            scaled_content = scale * weighted_sum(losses, content_terms) if content_terms else None
        if scaled_content is not None:
            frame_gradient += content_tape.gradient(scaled_content, fake)
        terms = {**content_terms, **terms}
        goals, seeds = [generated], [frame_gradient]
        if losses.match:
            terms["match"] = match
            goals, seeds = [*goals, scaled_match], [*seeds, tf.ones([])]
        gradients = networks_tape.gradient(goals, self.generator_variables, output_gradients=seeds)
        metrics = {f"loss/{name}": value for name, value in terms.items()}
        metrics["loss/generator"] = weighted_sum(losses, terms)
        metrics["norm/embedding"] = tf.reduce_mean(tf.norm(embedding, axis=-1))
        metrics["norm/w"] = tf.reduce_mean(tf.norm(w, axis=-1))
        metrics["error/l1"] = tf.reduce_mean(tf.abs(fake - target)) / 2.0
        metrics.update(_score_metrics(scores, hinge))
        kept = {"fake": fake, "embedding": tf.stop_gradient(embedding)}
        return Gradients(gradients, discriminator, row_gradients, kept, metrics)

    def _second(self, batch: Tensors, scale: tf.Tensor) -> Gradients:
        target, landmarks = self._target(batch)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            rows = self._watch_discriminator(tape, batch["video_index"])
            scores = self._score(target, batch["fake"], landmarks, rows, batch["video_index"])
            hinge, scaled = self._discriminator_loss(scores, batch["embedding"], rows, batch, scale)
        discriminator, row_gradients = self._split_rows(
            tape.gradient(scaled, [*self.discriminator_variables, *rows])
        )
        return Gradients([], discriminator, row_gradients, {}, _score_metrics(scores, hinge))

    def _target(self, batch: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        drawn = landmark_images(self.config, batch["target_landmarks"])
        return to_float(batch["target_frame"]), drawn

    def _watch_discriminator(self, tape, video_index) -> list[tf.Tensor]:
        """Watches θ, w0, b and W's rows; returns [rows], or [] where W is a variable among them."""
        tape.watch(self.discriminator_variables)
        if not self.by_rows:
            return []
        # Gathered outside the tape's view: the gradient of the rows is dense and small.
        rows = tf.stop_gradient(self.head.video_embedding(video_index))
        tape.watch(rows)
        return [rows]

    def _split_rows(self, gradients: list) -> tuple[list, tf.Tensor | None]:
        if self.by_rows:
            return gradients[:-1], gradients[-1]
        return [tf.convert_to_tensor(g) for g in gradients], None  # W's own may be sliced

    def _video_embedding(self, rows: list[tf.Tensor], video_index) -> tf.Tensor:
        return rows[0] if rows else self.head.video_embedding(video_index)

    def _score(self, target, fake, landmarks, rows, video_index) -> "_Scores":
        frames = tf.concat([target, fake], axis=0)
        vector, activations = self.discriminator.features(
            frames, tf.concat([landmarks, landmarks], axis=0)
        )
        w = self._video_embedding(rows, video_index) + self.head.w0
        scores = realism_score(vector, tf.concat([w, w], axis=0), self.head.bias)
        real, fake_scores = tf.split(scores, 2)
        halves = [tf.split(a, 2) for a in activations]
        return _Scores(real, fake_scores, [h[0] for h in halves], [h[1] for h in halves])

    def _discriminator_loss(self, scores, embedding, rows, batch, scale):
        """(eq. (6), what is differentiated): the match term moves W where the config says so."""
        losses = self.config.losses
        hinge = hinge_loss(scores.real, scores.fake)
        loss = hinge
        if losses.match and not losses.match_detach_w:
            w = self._video_embedding(rows, batch["video_index"])
            loss += losses.match * match_loss(tf.stop_gradient(embedding), w)
        return hinge, scale * loss

    def _over_parts(self, batch: Tensors, compute: Callable[[Tensors], Gradients]) -> Gradients:
        if self.accumulate == 1:
            return compute(batch)
        return accumulate_parts(batch, self.accumulate, compute)


@dataclasses.dataclass
class _Scores:
    real: tf.Tensor  # [B]
    fake: tf.Tensor  # [B]
    real_activations: list[tf.Tensor]
    fake_activations: list[tf.Tensor]


def _score_metrics(scores: _Scores, hinge: tf.Tensor) -> Tensors:
    def share(condition):
        return tf.reduce_mean(tf.cast(condition, tf.float32))

    return {
        "loss/discriminator": hinge,
        "score/real": tf.reduce_mean(scores.real),
        "score/fake": tf.reduce_mean(scores.fake),
        # 1: the hinge still pushes on every image; 0: D has won and G gets no new signal.
        "score/active_real": share(scores.real < 1.0),
        "score/active_fake": share(scores.fake > -1.0),
    }
