"""The methods that are compared: T few-shot frames and driving landmarks in, frames out.

    nearest     the few-shot frame whose landmarks are nearest to the driving ones
    ff          feed-forward: ψ' = Pê_NEW, the generator as it is
    ft_before   the personal model before its first update; by eq. (5) and (8) equal to ff
    ft          after fine-tuning ψ and ψ' (section 3.3)
    knee        fine-tuned likewise, stopped where a frame that is held out no longer gets better
    psi         after fine-tuning ψ' alone

The fine-tuned ones are drawn by the EMA copies, as what is served. One Keras model of each kind
is traced once and restarted for every person.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_talking.config import config_hash
from tf_talking.landmarks.nearest import nearest_source
from tf_talking.networks.meta_learned import MetaLearned
from tf_talking.spread import spread
from training.evaluation.names import BEFORE, CURVE_FRAMES, FF, FT, KINDS, KNEE, NEAREST, PSI
from training.finetuning.knee import DECIDES, knee_of_person
from training.finetuning.looks import IDENTITY, WatchEvery, measure_on
from training.finetuning.model import PersonalModel
from training.person.frames import PersonFrames, photo_dataset
from training.person.held_out import hold_out
from training.updates.content import ContentFiles

_TUNE = {FT: "full", KNEE: "full", PSI: "psi"}
_BATCH = 16  # frames drawn at once


@dataclasses.dataclass(frozen=True)
class Learning:
    """How people are learnt from few frames.

    Attributes:
      tuned: of KINDS, what is run. `ft_before` comes with FT.
      epochs: of every tuned method, at most; None: the config's.
      precision: of the activations in fine-tuning.
      seed: of the order of frames, of the frame held out for the knee and of random starts.
      override: section.field=value that the checkpoint's config was changed by.
      content: weights of the content loss.
    """

    tuned: Sequence[str] = (FT,)
    epochs: int | None = None
    precision: str = "float32"
    seed: int = 0
    override: Sequence[str] = ()
    content: ContentFiles = ContentFiles()


@dataclasses.dataclass(frozen=True)
class Watching:
    """What is looked at while a person is fine-tuned.

    Attributes:
      metrics: for curves of FT on hold-out frames, see `knee.measure_on`.
      needs: of every metric; with a "recogniser" identity decides where the knee is, too.
      every: epochs between looks at hold-out frames; 0: none.
    """

    metrics: Sequence[str] = ("l1", "ssim")
    needs: Mapping[str, object] = dataclasses.field(default_factory=dict)
    every: int = 0


class Methods:
    """All methods over one meta-learned model.

    Args:
      learned: with its discriminator; its config says how fine-tuning goes.
      learning: see there.
      watching: for curves of FT.

    After `draw`, `seconds` is method -> seconds that few-shot learning took, without drawing frames
    and curves of FT. The first of a kind includes tracing. `curves` is method -> a row a look, of
    FT on hold-out frames, of the knee on the frames it watches; `best_epochs` tells where the
    latter was.
    """

    def __init__(self, learned: MetaLearned, learning: Learning, watching: Watching | None = None):
        self._learned, self._learning = learned, learning
        self._watching = watching or Watching()
        self._content = learning.content.build(learned.config, learning.precision)
        finetune = learned.config.finetune
        defaults = {FT: finetune.epochs, KNEE: finetune.epochs, PSI: finetune.psi_epochs}
        self.epochs = {m: defaults[m] if learning.epochs is None else learning.epochs for m in learning.tuned}
        self._models: dict[str, PersonalModel] = {}
        self.seconds: dict[str, float] = {}
        self.curves: dict[str, list[dict[str, float]]] = {}
        self.best_epochs: dict[str, int | None] = {}
        self._feed_forward = tf.function(learned.draw, reduce_retracing=True, autograph=False)

    @property
    def names(self) -> list[str]:
        """The methods that `draw` gives, in the order of the report."""
        before = [BEFORE] if FT in self.epochs else []
        return [NEAREST, FF, *before, *(m for m in KINDS if m in self.epochs)]

    def facts(self) -> dict:
        """What of the model and of learning decides the results, for evaluation.json."""
        learned, learning = self._learned, self._learning
        return {
            "checkpoint": learned.checkpoint,
            "step": learned.step,
            "config": dataclasses.asdict(learned.config),
            "config_hash": config_hash(learned.config),
            "methods": self.names,
            "epochs": self.epochs,
            "precision": learning.precision,
            "override": list(learning.override),
            "content": {name: n.weights_source for name, n in self._content.items()},
            "seed": learning.seed,
        }

    def draw(
        self, person: PersonFrames, driving: np.ndarray, truth: PersonFrames | None = None
    ) -> dict[str, np.ndarray]:
        """Few-shot learning on `person`, then every method on `driving` landmarks [N, P, 2].

        Args:
          person: T frames.
          driving: landmarks float32 [N, P, 2].
          truth: hold-out frames, which curves are measured on; None: no curves of FT.

        Returns:
          Method -> frames uint8 [N, S, S, 3].

        Raises:
          RuntimeError: fine-tuning does not begin at the feed-forward result.
        """
        frames = {NEAREST: person.frames[nearest_source(person.landmarks, driving)]}
        start = time.perf_counter()
        embedding = self._learned.embed_person(person.frames, person.landmarks)
        psi = tf.constant(self._learned.project_person(embedding))
        self.seconds, self.curves, self.best_epochs = {FF: time.perf_counter() - start}, {}, {}
        frames[FF] = in_batches(lambda part: self._feed_forward(part, psi), driving)
        for method in self.epochs:
            start, watched, trained = time.perf_counter(), None, person
            if method == KNEE:
                # What the knee watches is not in ê_NEW either.
                trained, watched = hold_out(person, seed=self._learning.seed)
                model = self._start(method, self._learned.embed_person(trained.frames, trained.landmarks))
            else:
                model = self._start(method, embedding)
            if method == FT:
                prepared = time.perf_counter()
                frames[BEFORE] = in_batches(model.predict_on_batch, driving)
                self._check_start(frames)
                start += time.perf_counter() - prepared  # drawing does not count
            looked = self._fit(method, model, trained, watched, truth)
            self.seconds[method] = time.perf_counter() - start - looked
            frames[method] = in_batches(model.predict_on_batch, driving)
        self.seconds = {name: round(seconds, 4) for name, seconds in self.seconds.items()}
        return {name: frames[name] for name in self.names}

    def _start(self, method: str, embedding: np.ndarray) -> PersonalModel:
        tune = _TUNE[method]
        if tune in self._models:
            self._models[tune].restart(embedding, self._learning.seed)
        else:
            model = PersonalModel(
                self._learned, embedding, self._content, tune, self._learning.seed, self._learning.precision
            )
            model.compile()
            self._models[tune] = model
        return self._models[tune]

    def _fit(self, method: str, model: PersonalModel, person: PersonFrames, watched, truth) -> float:
        """Trains on `person`; the knee watches `watched`, a curve of FT `truth`.

        Returns the seconds that a curve of FT took, which do not count.
        """
        epochs, watching, callbacks = self.epochs[method], self._watching, []
        if not epochs:
            return 0.0
        watch = None
        if method == KNEE:
            names = [DECIDES[0], *([IDENTITY] if "recogniser" in watching.needs else [])]
            watch = knee_of_person(watched, names, watching.needs)
        elif method == FT and watching.every and truth is not None:
            some = truth.some(spread(len(truth), CURVE_FRAMES))
            watch = WatchEvery(measure_on(some, watching.metrics, watching.needs), watching.every)
        if watch:
            callbacks.append(watch)
        step = model.generator_optimizer.iterations
        photos = photo_dataset(person, model.config.finetune.batch_size, self._learning.seed, step)
        model.fit(photos, epochs=epochs, verbose=0, callbacks=callbacks)
        if watch:
            self.curves[method] = watch.curve
        if method == KNEE:
            self.best_epochs[method] = watch.best_epoch
        return watch.seconds if method == FT and watch else 0.0

    def _check_start(self, frames: dict[str, np.ndarray]) -> None:
        """Eq. (5) = eq. (8): asserted on every person, but where ψ' starts at random on purpose."""
        if self._learned.config.finetune.adain_init != "projected":
            return
        difference = np.abs(frames[BEFORE].astype(int) - frames[FF]).max()
        if difference > 1:  # two graphs may round differently
            raise RuntimeError(
                f"fine-tuning begins {difference} levels away from the feed-forward frames; expected at most 1"
            )


def in_batches(draw, landmarks: np.ndarray) -> np.ndarray:
    """`draw` of all landmarks [N, P, 2], few at a time -> uint8 [N, S, S, 3]."""
    parts = [draw(landmarks[i : i + _BATCH]) for i in range(0, len(landmarks), _BATCH)]
    return np.concatenate([np.asarray(part) for part in parts])
