"""Looks at a model in fine-tuning: metrics of what it draws, on frames that are held out."""

import time
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from tf_talking.metrics import registry
from training.person.frames import PersonFrames

# Decides with the pixels where it is measured: it goes on growing after they are done.
IDENTITY = "csim"


def measure_on(
    held_out: PersonFrames, metrics: Sequence[str], needs: Mapping[str, object] | None = None
) -> Callable[[keras.Model], dict[str, float]]:
    """Function of a model that draws landmarks float32 [N, P, 2] → uint8 frames: name → value.

    Args:
      held_out: of `held_out.hold_out`.
      metrics: names of `tf_talking.metrics`, none of them over consecutive frames.
      needs: what they need besides frames, by the names of `Metric.needs`, but "landmarks", which
        are the held-out ones: {"recogniser": …}.

    Raises:
      ValueError: a metric is not known, or what it needs is missing.
    """
    given: dict[str, dict] = {}
    everything = {**(needs or {}), "landmarks": held_out.landmarks}
    if "recogniser" in everything and IDENTITY in metrics:
        everything["recogniser"] = _remembering(everything["recogniser"], held_out)
    for name in metrics:
        wanted = registry.get(name).needs
        missing = [need for need in wanted if need not in everything]
        if missing:
            raise ValueError(f"{name}: needs {missing[0]}, got {sorted(everything)}")
        given[name] = {need: everything[need] for need in wanted}

    def measure(model: keras.Model) -> dict[str, float]:
        drawn = np.asarray(model.predict_on_batch(held_out.landmarks))
        return {n: registry.compute(n, held_out.frames, drawn, **v) for n, v in given.items()}

    return measure


def _remembering(recogniser: Callable, held_out: PersonFrames) -> Callable:
    """The recogniser, which looks at the real frames once and not at every look."""
    real = recogniser(held_out.frames, held_out.landmarks)
    return lambda frames, landmarks: (real if frames is held_out.frames else recogniser(frames, landmarks))


class WatchEvery(keras.callbacks.Callback):
    """Measures before the first epoch and every few epochs, for a curve; changes nothing.

    Args:
      measure: model → name: value, such as `measure_on`.
      every: epochs between looks.

    Attributes:
      curve: one {"epoch": epochs trained, name: value, …} a look.
      seconds: that all looks took.
    """

    def __init__(self, measure: Callable[[keras.Model], Mapping[str, float]], every: int):
        super().__init__()
        self._measure, self._every = measure, every
        self.curve: list[dict[str, float]] = []
        self.seconds = 0.0

    def on_train_begin(self, logs=None):
        self.curve, self.seconds = [], 0.0
        self._look(0)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self._every == 0:
            self._look(epoch + 1)

    def _look(self, epoch: int) -> None:
        start = time.perf_counter()
        self.curve.append({"epoch": epoch, **self._measure(self.model)})
        self.seconds += time.perf_counter() - start
