"""Fine-tuning that knows when to stop: `StopAtKnee`, a Keras callback for anyone's `fit`.

Too few epochs leave an identity gap, too many spoil the mimics. The callback watches frames that
nothing is trained on (`held_out.py`), stops where they no longer get better, and gives the model
the weights with which they were best.
"""

import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_talking import files
from tf_talking.metrics import registry
from training.finetuning.looks import IDENTITY, measure_on
from training.person.frames import PersonFrames

# What tells the knee, best first: on few frames the distance of pixels is the steadiest, and that
# of the whole frame would count the background that a mirrored view invents. They need no file.
DECIDES = ("face_l1", "l1", "ssim")


def geometric_mean_error(values: Mapping[str, float], names: Sequence[str]) -> float:
    """One error from several metrics, that falls by the same part where any of them does.

    Of a metric whose best value is 1, such as SSIM and CSIM, the error is what it lacks of 1.
    """
    errors = [1.0 - values[n] if registry.get(n).higher_is_better else values[n] for n in names]
    return math.prod(max(error, 0.0) for error in errors) ** (1.0 / len(errors))


def knee_of_person(
    watch: PersonFrames,
    metrics: Sequence[str],
    needs: Mapping[str, object] | None = None,
    backup: str | os.PathLike | None = None,
) -> "StopAtKnee":
    """`StopAtKnee` for a `PersonalModel`.

    Args:
      watch: of `held_out.hold_out`.
      metrics: for the curve; of them the first one in DECIDES decides, and with it IDENTITY: then
        "error", their `geometric_mean_error`, stands first in the curve.
      needs: see `measure_on`.
      backup: see `StopAtKnee`.

    Raises:
      ValueError: none of `metrics` can decide, or see `measure_on`.
    """
    decisive = [name for name in DECIDES if name in metrics]
    if not decisive:
        raise ValueError(f"got metrics {list(metrics)}, expected one of {list(DECIDES)} at least")
    ordered = [decisive[0], *(name for name in metrics if name != decisive[0])]
    measure, higher = measure_on(watch, ordered, needs), registry.get(decisive[0]).higher_is_better
    if IDENTITY in metrics:
        deciding, measure_all, higher = (decisive[0], IDENTITY), measure, False

        def measure(model):
            values = measure_all(model)
            return {"error": geometric_mean_error(values, deciding), **values}

    return StopAtKnee(measure, lambda model: model.drawn_variables, higher, backup=backup)


def past_knee(values: Sequence[float], patience: int, tolerance: float, higher_is_better: bool = False) -> bool:
    """Whether the last `patience` values brought no improvement that counts.

    One counts if it is more than `tolerance` times the size of the best one so far that counted.
    A value that is not finite is no improvement.
    """
    best, since = None, 0
    for value in values:
        value = -value if higher_is_better else value
        if math.isfinite(value) and (best is None or value < best - tolerance * abs(best)):
            best, since = value, 0
        else:
            since += 1
    return since >= patience


class StopAtKnee(keras.callbacks.Callback):
    """Ends `fit` at the knee of a value on held-out frames, with the weights that were best.

    It looks before the first epoch too: where no epoch is better, the untrained weights stay.
    Stands before callbacks that export, which see the best weights at the end of training.

    Args:
      measure: model → name: value, such as `measure_on`; the first one decides, the others are
        for the curve.
      variables: model → the variables that are kept and given back. What is drawn and exported
        is the EMA copy, so it must be among them.
      higher_is_better: of the value that decides.
      every: epochs between looks.
      patience: looks without improvement after which it stops.
      tolerance: see `past_knee`.
      backup: file (.npz) for curve and best weights, from which a killed `fit` goes on; deleted
        when training ends. None: none.

    Attributes:
      curve: one {"epoch": epochs trained, name: value, …} a look.
      best_epoch: epochs after which the weights were best; None: no value was finite.
    """

    def __init__(
        self,
        measure: Callable[[keras.Model], Mapping[str, float]],
        variables: Callable[[keras.Model], Sequence[tf.Variable]],
        higher_is_better: bool = False,
        every: int = 4,
        patience: int = 2,
        tolerance: float = 0.02,
        backup: str | os.PathLike | None = None,
    ):
        super().__init__()
        if every < 1 or patience < 1 or tolerance < 0:
            raise ValueError(f"every {every}, patience {patience}, tolerance {tolerance}: expected at least 1, 1 and 0")
        self._measure, self._variables, self._higher = measure, variables, higher_is_better
        self._every, self._patience, self._tolerance = every, patience, tolerance
        self._backup = pathlib.Path(backup) if backup else None
        self._begun = False
        self.curve: list[dict[str, float]] = []
        self.best_epoch: int | None = None
        self._best_value = math.inf
        self._best_weights: list[np.ndarray] = []

    def on_train_begin(self, logs=None):
        self._begun = False
        self.curve, self.best_epoch, self._best_value, self._best_weights = [], None, math.inf, []
        if self._backup and self._backup.is_file():
            self._read_backup()

    def on_epoch_begin(self, epoch, logs=None):
        if self._begun:
            return
        self._begun = True
        # The model goes on from a backup that may be older than the last look.
        self.curve = [row for row in self.curve if row["epoch"] <= epoch]
        if not self.curve:
            self._look(epoch)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self._every:
            return
        if not any(row["epoch"] == epoch + 1 for row in self.curve):
            self._look(epoch + 1)
        values = [self._decisive(row) for row in self.curve]
        if past_knee(values, self._patience, self._tolerance, self._higher):
            logging.info("stops after epoch %d, best was %s", epoch + 1, self.best_epoch)
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.best_epoch is None:
            logging.warning("no value on the held-out frames was finite: the last weights stay")
        else:
            for variable, value in zip(self._variables(self.model), self._best_weights, strict=True):
                variable.assign(value)
        if self._backup:
            self._backup.unlink(missing_ok=True)

    def write_curve(self, path: pathlib.Path) -> None:
        """Writes the curve as lines of JSON, for reports; values that are not finite as null."""
        files.write_whole(path, "".join(f"{files.json_line(row)}\n" for row in self.curve))

    def _decisive(self, row: Mapping[str, float]) -> float:
        return next(value for name, value in row.items() if name != "epoch")

    def _look(self, epoch: int) -> None:
        row = {"epoch": epoch, **{n: float(v) for n, v in self._measure(self.model).items()}}
        self.curve.append(row)
        value = self._decisive(row) * (-1 if self._higher else 1)
        if value < self._best_value:  # never of NaN
            self._best_value, self.best_epoch = value, epoch
            self._best_weights = [v.numpy() for v in self._variables(self.model)]
        if self._backup:
            self._write_backup()

    def _write_backup(self) -> None:
        self._backup.parent.mkdir(parents=True, exist_ok=True)
        weights = {f"weight_{i:05d}": value for i, value in enumerate(self._best_weights)}
        facts = json.dumps([self.curve, self.best_epoch, self._best_value])
        with files.whole_file(self._backup) as temporary, open(temporary, "wb") as file:
            np.savez(file, facts=np.array(facts), **weights)

    def _read_backup(self) -> None:
        with np.load(self._backup, allow_pickle=False) as saved:
            self.curve, self.best_epoch, self._best_value = json.loads(str(saved["facts"]))
            names = sorted(name for name in saved.files if name.startswith("weight_"))
            self._best_weights = [saved[name] for name in names]
