"""The methods that are compared: T few-shot frames and driving landmarks in, frames out.

    nearest     the few-shot frame whose landmarks are nearest to the driving ones
    ff          feed-forward: ψ' = Pê_NEW, the generator as it is
    ft_before   the personal model before its first update; by eq. (5) and (8) equal to ff
    ft          after fine-tuning ψ and ψ' (section 3.3)
    psi         after fine-tuning ψ' alone

The fine-tuned ones are drawn by the EMA copies, as what is served. One Keras model of each kind
is traced once and restarted for every person.
"""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_talking.landmarks.nearest import nearest_source
from tf_talking.models.images import landmark_images, to_uint8
from tf_talking.models.meta_checkpoint import MetaLearned
from training.person_source import PersonFrames, photo_dataset
from training.personal_model import PersonalModel, embed_person

NEAREST, FF, BEFORE, FT, PSI = METHODS = ("nearest", "ff", "ft_before", "ft", "psi")
LABELS = {
    NEAREST: "nearest source frame",
    FF: "FF",
    BEFORE: "FT before fine-tuning",
    FT: "FT",
    PSI: "FT of ψ' alone",
}
_TUNE = {FT: "full", PSI: "psi"}
_BATCH = 16  # frames drawn at once


class Methods:
    """All methods over one meta-learned model.

    Args:
      learned: with its discriminator; its config says how fine-tuning goes.
      content: feature networks of the content loss.
      tuned: of FT and PSI, those to run. `ft_before` comes with FT.
      epochs: tuned method → epochs; None: the config's.
      seed: of the order of frames and of random starts.

    After `draw`, `seconds` is method → seconds that few-shot learning took, without drawing. The
    first of a kind includes tracing.
    """

    def __init__(
        self,
        learned: MetaLearned,
        content: Mapping,
        tuned: Sequence[str] = (FT,),
        epochs: int | None = None,
        seed: int = 0,
    ):
        self._learned, self._content, self._seed = learned, content, seed
        self.tuned = tuple(tuned)
        finetune = learned.config.finetune
        defaults = {FT: finetune.epochs, PSI: finetune.psi_epochs}
        self.epochs = {m: defaults[m] if epochs is None else epochs for m in self.tuned}
        self._models: dict[str, PersonalModel] = {}
        self.seconds: dict[str, float] = {}

        @tf.function(reduce_retracing=True)
        def feed_forward(landmarks, psi):
            psi = tf.repeat(psi[tf.newaxis], tf.shape(landmarks)[0], axis=0)
            return to_uint8(learned.generator(landmark_images(learned.config, landmarks), psi))

        self._feed_forward = feed_forward

    @property
    def names(self) -> list[str]:
        """The methods that `draw` gives, in the order of the report."""
        before = [BEFORE] if FT in self.tuned else []
        return [NEAREST, FF, *before, *(m for m in (FT, PSI) if m in self.tuned)]

    def draw(self, person: PersonFrames, driving: np.ndarray) -> dict[str, np.ndarray]:
        """Few-shot learning on `person`, then every method on `driving` landmarks [N, P, 2].

        Returns:
          Method → frames uint8 [N, S, S, 3].

        Raises:
          RuntimeError: fine-tuning does not begin at the feed-forward result.
        """
        frames = {NEAREST: person.frames[nearest_source(person.landmarks, driving)]}
        start = time.perf_counter()
        embedding = embed_person(self._learned, person)
        psi = self._learned.generator.project(embedding[np.newaxis])[0]
        self.seconds = {FF: time.perf_counter() - start}
        frames[FF] = in_batches(lambda part: self._feed_forward(part, psi), driving)
        for method in self.tuned:
            start = time.perf_counter()
            model = self._start(method, embedding)
            if method == FT:
                prepared = time.perf_counter()
                frames[BEFORE] = in_batches(model.predict_on_batch, driving)
                self._check_start(frames)
                start += time.perf_counter() - prepared  # drawing does not count
            self._fit(model, person, self.epochs[method])
            self.seconds[method] = time.perf_counter() - start
            frames[method] = in_batches(model.predict_on_batch, driving)
        return {name: frames[name] for name in self.names}

    def _start(self, method: str, embedding: np.ndarray) -> PersonalModel:
        if method in self._models:
            self._models[method].restart(embedding, self._seed)
        else:
            model = PersonalModel(
                self._learned, embedding, self._content, _TUNE[method], self._seed
            )
            model.compile()
            self._models[method] = model
        return self._models[method]

    def _fit(self, model: PersonalModel, person: PersonFrames, epochs: int) -> None:
        batch_size = model.config.finetune.batch_size
        step = model.generator_optimizer.iterations
        if epochs:
            model.fit(photo_dataset(person, batch_size, self._seed, step), epochs=epochs, verbose=0)

    def _check_start(self, frames: dict[str, np.ndarray]) -> None:
        """Eq. (5) = eq. (8): asserted on every person, but where ψ' starts at random on purpose."""
        if self._learned.config.finetune.adain_init == "random":
            return
        difference = np.abs(frames[BEFORE].astype(int) - frames[FF]).max()
        if difference > 1:  # two graphs may round differently
            raise RuntimeError(
                f"fine-tuning begins {difference} levels away from the feed-forward frames; "
                "expected at most 1"
            )


def in_batches(draw, landmarks: np.ndarray) -> np.ndarray:
    """`draw` of all landmarks [N, P, 2], few at a time → uint8 [N, S, S, 3]."""
    parts = [draw(landmarks[i : i + _BATCH]) for i in range(0, len(landmarks), _BATCH)]
    return np.concatenate([np.asarray(part) for part in parts])
