"""The adversarial update, of meta-learning (paper section 3.2) and of fine-tuning (section 3.3).

One step is one update of the generator's side, on eq. (3) or (9), and `discriminator_steps` updates
of D, on eq. (6) or (10). The two differ by their `Players`: who makes the frame (E, P and G, or
G'), and whose vector scores it (W_i + w0, or w').

First pass: every network once. From the same forward pass come the gradients of the generator's
side and those of D's first update: both belong to the weights at the start of the step. x̂ is
computed once; its gradient is the sum of what D and the content networks say about it and then goes
back through who made it. D sees real and generated frames in one batch.

Further passes: D alone, for its further updates, on the same frames.

With `accumulate` parts, a pass goes over the parts of the batch one after the other and sums.

Power iteration: once a step for every network before the first pass, once more for D before each
further update of D.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from tf_talking.config import Config
from tf_talking.layers.spectral_norm import power_iteration
from tf_talking.losses import Features, discriminator_terms, hinge_loss, image_terms, match_loss, weighted_sum
from tf_talking.networks.discriminator import DiscriminatorFeatures, realism_score
from tf_talking.networks.images import landmark_images, to_float
from training.updates.gradients import Gradients, Tensors, accumulate_parts
from training.updates.guard import Guard


@dataclasses.dataclass(frozen=True)
class Players:
    """What the two users of the update hand in.

    Attributes:
      draw: (batch, landmark image of the target) → (x̂ [B, S, S, 3], the vectors of the source
        frames [B, K, N], whose mean is ê, or None).
      generator_variables: what `draw` trains.
      features: V of D or D'.
      vector: what V's vector is multiplied with: W_i [B, N] ↦ W_i + w0 (eq. 5), None ↦ w' (eq. 8).
      bias: b.
      discriminator_variables: what D trains, but W where its gradient is taken by rows.
      generator_networks, discriminator: whose σ are followed.
      video_embedding: batch → W_i [B, N], which ê is matched with; None: D' has no W.
      rows_of: W, where its gradient is taken by rows.
    """

    draw: Callable[[Tensors, tf.Tensor], tuple[tf.Tensor, tf.Tensor | None]]
    generator_variables: Sequence[tf.Variable]
    features: DiscriminatorFeatures
    vector: Callable[[tf.Tensor | None], tf.Tensor]
    bias: tf.Variable
    discriminator_variables: Sequence[tf.Variable]
    generator_networks: Sequence[keras.Model]
    discriminator: keras.Model
    video_embedding: Callable[[Tensors], tf.Tensor] | None = None
    rows_of: tf.Variable | None = None


class AdversarialUpdate:
    """Computes the gradients of a step and has them applied.

    A batch holds "target_frame" uint8 [B, S, S, 3], "target_landmarks" float32 [B, P, 2], and what
    `draw` and `video_embedding` read; "video_index" int32 [B] where W's gradient is taken by rows;
    "photos" bool [B] where people of photos are told apart in the log; "drawn_landmarks" like
    "target_landmarks" where the landmark image is to show others.

    Args:
      config: weights of the losses, and how landmark images are drawn.
      players: the networks.
      guard: holds the optimisers: sides "generator" and "discriminator".
      content: name → feature network of the content loss.
      discriminator_steps: updates of D.
      adversarial: False: D rests, and is not asked.
      accumulate: parts of a batch.
      compile_passes: by XLA, each for itself.
    """

    def __init__(
        self,
        config: Config,
        players: Players,
        guard: Guard,
        content: Mapping[str, Features],
        discriminator_steps: int,
        adversarial: bool = True,
        accumulate: int = 1,
        compile_passes: bool = False,
    ):
        self.config, self.losses, self.players = config, config.losses, players
        self.guard, self.content, self.accumulate = guard, content, accumulate
        self.discriminator_steps, self.adversarial = discriminator_steps, adversarial
        self._passes = [self.first, self.further]
        if compile_passes:
            self._passes = [tf.function(f, jit_compile=True, autograph=False) for f in self._passes]

    def step(self, batch: Tensors) -> tuple[Tensors, tf.Tensor]:
        """All updates of one step, in replica context: (scalars by name, updates left out)."""
        players, (first, further) = self.players, self._passes
        # D's first gradients are of the same pass as the generator's, whose update may change it.
        whole = self.guard.scale()
        # Gradients are summed over the replicas.
        scale = whole / tf.distribute.get_strategy().num_replicas_in_sync
        for network in players.generator_networks:
            power_iteration(network)
        if self.adversarial:
            power_iteration(players.discriminator)
        result = first(batch, scale)
        kept, metrics = result.kept, result.metrics
        norm, skipped = self.update_generator(result, whole)
        metrics["grad_norm/generator"] = norm
        for update in range(self.discriminator_steps if self.adversarial else 0):
            if update:
                power_iteration(players.discriminator)
                result = further(batch, kept, scale)
                metrics.update(result.metrics)
            norm, left_out = self.update_discriminator(result, batch, whole)
            metrics["grad_norm/discriminator"] = norm
            skipped += left_out
        return metrics, skipped

    def first(self, batch: Tensors, scale: tf.Tensor) -> Gradients:
        """Gradients for the generator's side and for D's first update; nothing is changed.

        Args:
          batch: of this replica.
          scale: float32 scalar that multiplies every loss before it is differentiated.
        """
        scale /= self.accumulate
        return accumulate_parts(batch, self.accumulate, lambda part: self._first(part, scale))

    def further(self, batch: Tensors, kept: Tensors, scale: tf.Tensor) -> Gradients:
        """Gradients for a further update of D on the frames of the first pass."""
        batch, scale = {**batch, **kept}, scale / self.accumulate
        return accumulate_parts(batch, self.accumulate, lambda part: self._further(part, scale))

    def update_generator(self, result: Gradients, scale: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Update of who makes the frame; takes `scale` and returns as `Guard.apply` does."""
        return self.guard.apply("generator", result.generator, result.metrics["loss/generator"], scale)

    def update_discriminator(self, result: Gradients, batch: Tensors, scale: tf.Tensor | None = None):
        """Update of D; takes `scale` and returns as `Guard.apply` does."""
        gradients = list(result.discriminator)
        if result.rows is not None:
            shape = tf.constant(self.players.rows_of.shape.as_list(), tf.int64)
            gradients.append(tf.IndexedSlices(result.rows, batch["video_index"], shape))
        return self.guard.apply("discriminator", gradients, result.metrics["loss/discriminator"], scale)

    def _target(self, batch: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        drawn = landmark_images(self.config, batch.get("drawn_landmarks", batch["target_landmarks"]))
        return to_float(batch["target_frame"]), drawn

    def _first(self, batch: Tensors, scale: tf.Tensor) -> Gradients:
        losses, variables = self.losses, self.players.generator_variables
        real, drawn = self._target(batch)
        kept, metrics, matched = {}, {}, {}
        with tf.GradientTape(watch_accessed_variables=False) as drawing_tape:
            drawing_tape.watch(variables)
            generated, vectors = self.players.draw(batch, drawn)
            if self.players.video_embedding:
                w = tf.stop_gradient(self.players.video_embedding(batch))
                embedding = tf.reduce_mean(vectors, axis=1)
                to_match = vectors if losses.match_per_frame else embedding
                matched = {"match": match_loss(to_match, w)} if losses.match else {}
                metrics["norm/embedding"] = tf.reduce_mean(tf.norm(embedding, axis=-1))
                metrics["norm/w"] = tf.reduce_mean(tf.norm(w, axis=-1))
                kept["to_match"] = tf.stop_gradient(to_match)
            goals = [generated, *(scale * losses.match * value for value in matched.values())]
        kept["fake"] = fake = tf.stop_gradient(generated)
        discriminator, rows, terms, frame_gradient = [], None, {}, tf.zeros_like(fake)
        if self.adversarial:
            discriminator, rows, values, terms, gradient = self._discriminate(
                batch | kept, real, drawn, scale, to_generator=True
            )
            metrics.update(values)
            frame_gradient += gradient
        with tf.GradientTape(watch_accessed_variables=False) as content_tape:
            content_tape.watch(fake)
            content_terms = image_terms(losses, self.content, real, fake, batch["target_landmarks"])
            content = scale * weighted_sum(losses, content_terms) if content_terms else None
        if content_terms:
            frame_gradient += content_tape.gradient(content, fake)
        seeds = [frame_gradient, *(tf.ones([]) for _ in matched)]
        generator = drawing_tape.gradient(goals, variables, output_gradients=seeds)
        terms = {**content_terms, **terms, **matched}
        metrics.update({f"loss/{name}": value for name, value in terms.items()})
        metrics["loss/generator"] = weighted_sum(losses, terms)
        errors = tf.reduce_mean(tf.abs(fake - real), axis=[1, 2, 3]) / 2.0
        metrics["error/l1"] = tf.reduce_mean(errors)
        if "photos" in batch:
            metrics |= _by_kind(errors, batch["photos"])
        return Gradients(generator, discriminator, rows, kept, metrics)

    def _further(self, batch: Tensors, scale: tf.Tensor) -> Gradients:
        discriminator, rows, values, *_ = self._discriminate(batch, *self._target(batch), scale)
        return Gradients([], discriminator, rows, {}, values)

    def _discriminate(self, batch: Tensors, real, drawn, scale, to_generator: bool = False):
        """One pass of D over real and generated frames.

        Returns:
          (gradients of D's variables, of W's rows or None, scalars for the log, L_ADV's terms, and
          their gradient for x̂: {} and 0 unless `to_generator`).
        """
        players, losses, fake = self.players, self.losses, batch["fake"]
        variables, by_rows = list(players.discriminator_variables), players.rows_of is not None
        terms, frame_gradient = {}, 0.0
        with tf.GradientTape(watch_accessed_variables=False, persistent=to_generator) as tape:
            tape.watch([*variables, *([fake] if to_generator else [])])
            row = players.video_embedding(batch) if players.video_embedding else None
            if by_rows:
                # Gathered outside the tape's view: the gradient of the rows is dense and small.
                row = tf.stop_gradient(row)
                tape.watch(row)
                variables.append(row)
            w, twice = players.vector(row), lambda x: tf.concat([x, x], axis=0)
            frames = tf.concat([real, fake], axis=0)
            vector, activations = players.features(frames, twice(drawn))
            if row is not None:
                # Gradients reach W_i from the first half, of the real frames, or from both.
                of_fakes = players.vector(tf.stop_gradient(row)) if losses.detach_w_from_fakes else w
                w = tf.concat([w, of_fakes], axis=0)
            scores = realism_score(vector, w, players.bias)
            scores = tf.split(scores, 2)
            if to_generator:
                reals, fakes = zip(*(tf.split(a, 2) for a in activations), strict=True)
                terms = discriminator_terms(losses, scores[1], fakes, reals)
            to_frame = scale * weighted_sum(losses, terms) if terms else None
            loss = hinge = hinge_loss(*scores)
            if row is not None and losses.match and not losses.match_detach_w:
                loss += losses.match * match_loss(batch["to_match"], row)
            loss *= scale
        gradients = tape.gradient(loss, variables)
        of_rows = gradients.pop() if by_rows else None
        gradients = [tf.convert_to_tensor(g) for g in gradients]  # W's own may be sliced
        if terms:
            frame_gradient = tape.gradient(to_frame, fake)
        return gradients, of_rows, _score_metrics(hinge, *scores), terms, frame_gradient


def _by_kind(errors: tf.Tensor, photos: tf.Tensor) -> Tensors:
    """Means over the episodes of each kind; of a kind that is not in the batch 0."""
    values = {}
    for kind, chosen in (("videos", ~photos), ("photos", photos)):
        chosen = tf.cast(chosen, errors.dtype)
        values[f"error/l1_{kind}"] = tf.reduce_sum(chosen * errors) / tf.maximum(tf.reduce_sum(chosen), 1.0)
    return values


def _score_metrics(hinge: tf.Tensor, real: tf.Tensor, fake: tf.Tensor) -> Tensors:
    def share(condition):
        return tf.reduce_mean(tf.cast(condition, tf.float32))

    return {
        "loss/discriminator": hinge,
        "score/real": tf.reduce_mean(real),
        "score/fake": tf.reduce_mean(fake),
        # 1: the hinge still pushes on every image; 0: D has won and G gets no new signal.
        "score/active_real": share(real < 1.0),
        "score/active_fake": share(fake > -1.0),
    }
