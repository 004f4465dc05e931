"""The collapse watchdog: rules on logged numbers, each with an alarm that says what to try.

A hook of the training loop. Every `every` steps it measures the live networks on a batch
(`measures.measure`), adds the mean of the discriminator's metrics since the last time, and
judges every rule. A rule that is broken several times in a row raises its alarm once: a WARNING in
the log and a line in alarms.jsonl. It is cleared after as many good values in a row, and may then
be raised again.

    {"step": 4000, "alarm": "embedder_ignored", "state": "raised", "message": "...",
     "value": 0.004, "threshold": 0.03}
"""

import math
import pathlib
from collections.abc import Callable, Collection, Mapping

import tensorflow as tf
from absl import logging

from tf_talking.files import append_json_line
from training.runs.ends import Collapsed
from training.watch.rules import RULES, Thresholds

# Means of these since the last look: one batch of a few pictures says little about D.
_AVERAGED = ("loss/discriminator", "score/real", "score/fake", "score/active_real", "score/active_fake", "norm/w")
_SAMPLES = 20  # reads of a metric between two looks; each makes the host wait for the device


class Watchdog:
    """Judges a run while it trains.

    Args:
      measure: () -> name -> scalar tensor, the networks measured on a batch.
      every: steps between two looks.
      alarms_path: gets one JSON line when an alarm is raised or cleared; None writes no file
        (workers that are not the chief).
      thresholds: limits, patience and grace.
      stop_on: alarms that end the run.
      leave_out: alarms that do not apply to this run (w_vanishing where W is normalised).
      log: (step, name -> float), called with what was measured at each look; None: not logged.

    Attributes:
      raised: names of the alarms that are raised now.
      values: what the last look judged, name -> float.

    Raises:
      ValueError: `stop_on` or `leave_out` names an alarm that does not exist.
    """

    def __init__(
        self,
        measure: Callable[[], Mapping[str, tf.Tensor]],
        every: int,
        alarms_path=None,
        thresholds: Thresholds | None = None,
        stop_on: Collection[str] = (),
        leave_out: Collection[str] = (),
        log: Callable[[int, dict[str, float]], None] | None = None,
    ):
        unknown = sorted({*stop_on, *leave_out} - set(RULES))
        if unknown:
            raise ValueError(f"unknown alarm {unknown[0]!r}, expected one of {sorted(RULES)}")
        if every < 1:
            raise ValueError(f"every: got {every}, expected at least 1 step")
        self._measure, self._every = measure, every
        self._path = pathlib.Path(alarms_path) if alarms_path else None
        self._thresholds = thresholds or Thresholds()
        self._stop_on, self._log = frozenset(stop_on), log
        self._sums: dict[str, list[float]] = {}
        self._rules = {name: rule for name, rule in RULES.items() if name not in leave_out}
        self._streaks = dict.fromkeys(self._rules, 0)
        self.raised: set[str] = set()
        self.values: dict[str, float] = {}

    def after_step(self, step: int, metrics: Mapping[str, tf.Tensor]) -> None:
        """Collects, and looks every `every` steps.

        Raises:
          Collapsed: an alarm of `stop_on` was raised.
        """
        if step % max(1, self._every // _SAMPLES) == 0:
            self._collect(metrics)
        if step % self._every:
            return
        measured = {name: float(value) for name, value in self._measure().items()}
        self.values = measured | {n: sum(v) / len(v) for n, v in self._sums.items()}
        self._sums.clear()
        try:
            self.judge(step, self.values)
        finally:  # last, and also when the run ends: a log that fails must not hide an alarm
            if self._log:
                # A measure that does not apply to the batch is NaN; JSON has no such number.
                self._log(step, {n: v for n, v in measured.items() if math.isfinite(v)})

    def close(self, step: int) -> None:
        """Nothing is held open."""

    def _collect(self, metrics: Mapping[str, tf.Tensor]) -> None:
        for name in _AVERAGED:
            if name in metrics:
                value = float(metrics[name])
                if math.isfinite(value):  # a skipped step says nothing about collapse
                    self._sums.setdefault(name, []).append(value)

    def judge(self, step: int, values: Mapping[str, float]) -> None:
        """Applies every rule to the values of one look. A rule whose value is missing or NaN is
        left as it is. See `after_step` for what it raises."""
        if step < self._thresholds.grace:
            return
        changed = []
        for name, rule in self._rules.items():
            value = rule.value(values)
            if value is None or not math.isfinite(value):
                continue
            broken = rule.broken(value, self._thresholds)
            if broken == (name in self.raised):
                self._streaks[name] = 0
                continue
            self._streaks[name] += 1
            if self._streaks[name] < rule.patience(self._thresholds):
                continue
            self._streaks[name] = 0
            self._change(step, name, value, broken)
            changed.append(name)
        fatal = [name for name in changed if name in self.raised & self._stop_on]
        if fatal:
            raise Collapsed(f"stopped at step {step}: {', '.join(fatal)} (stop_on)")

    def _change(self, step: int, name: str, value: float, broken: bool) -> None:
        rule = RULES[name]
        limit = rule.limit(self._thresholds)
        if broken:
            self.raised.add(name)
            message = f"{rule.means}; try: {rule.remedy}"
            logging.warning(
                "step %d: alarm %s (%s is %.4g, limit %.4g): %s", step, name, rule.measured, value, limit, message
            )
        else:
            self.raised.discard(name)
            message = f"recovered: {rule.measured} is back on the good side of its limit"
            logging.info("step %d: alarm %s cleared (%.4g)", step, name, value)
        if self._path:
            line = {
                "step": step,
                "alarm": name,
                "state": "raised" if broken else "cleared",
                "message": message,
                "value": value,
                "threshold": limit,
            }
            self._append(line)

    def _append(self, line: dict) -> None:
        try:
            append_json_line(self._path, line)
        except OSError as error:  # it stands in the log; a full disk is the checkpoints' business
            logging.error("%s can not be written: %s", self._path, error)
