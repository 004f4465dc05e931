"""Hooks that tell how a run goes: the line on the screen, metrics.jsonl, TensorBoard."""

import time
from collections.abc import Iterable, Mapping

import tensorflow as tf
from absl import logging
from tqdm import tqdm

from tf_talking.files import append_json_line
from training.meta.loop import Hook

_SAY_EVERY = 600  # seconds
# What writing to a full or forbidden folder raises, by Python's files and by TensorFlow's.
_ERRORS = (OSError, tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError)


class ProgressLine:
    """One line with step, steps/s, time left and a few of the metrics."""

    def __init__(self, start: int, stop: int, shown: Iterable[str], every: int = 10):
        self._shown, self._every = tuple(shown), every
        self._bar = tqdm(total=stop, initial=start, unit="step", desc="train", mininterval=1.0)

    def after_step(self, step, metrics):
        if step % self._every == 0:
            values = {n.split("/")[-1]: f"{float(metrics[n]):.3f}" for n in self._shown}
            self._bar.set_postfix(values, refresh=False)
        if step > self._bar.n:
            self._bar.update(step - self._bar.n)
        else:  # the run went back to a checkpoint
            self._bar.n = step
            self._bar.refresh()

    def close(self, step):
        self._bar.close()


class ScalarLog:
    """Every metric to metrics.jsonl and TensorBoard each `every` steps."""

    def __init__(self, writer: tf.summary.SummaryWriter, jsonl_path, every: int):
        self._writer, self._path, self._every = writer, jsonl_path, every
        self._time, self._step = time.monotonic(), None
        self._added: dict[str, float] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Values for the next line, of a hook that stands before this one."""
        self._added.update(values)

    def after_step(self, step, metrics):
        if step % self._every:
            return
        values = {name: float(value) for name, value in sorted(metrics.items())}
        values |= self._added
        self._added = {}
        now = time.monotonic()
        if self._step is not None and step > self._step:
            values["speed/steps_per_second"] = (step - self._step) / max(now - self._time, 1e-9)
        self._time, self._step = now, step
        # The file first: it needs less of a disk.
        append_json_line(self._path, {"step": step, **values})
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def close(self, step):
        self._writer.flush()


class Lossy:
    """Wraps a hook whose output can be missed (logs, previews): a full disk must not end a run.

    Where it can not write, that is logged as an error now and then. Whether the run goes on is
    decided by its checkpoints alone, which meet the same full disk.

    Args:
      hook: the hook.
      what: what it writes, for the message.
    """

    def __init__(self, hook: Hook, what: str):
        self._hook, self._what = hook, what

    def after_step(self, step, metrics):
        """Calls the hook; errors other than those of writing files pass through."""
        try:
            self._hook.after_step(step, metrics)
        except _ERRORS as error:
            self._say(step, error)

    def close(self, step):
        """Likewise."""
        try:
            self._hook.close(step)
        except _ERRORS as error:
            self._say(step, error)

    def _say(self, step: int, error: Exception) -> None:
        logging.log_every_n_seconds(
            logging.ERROR, "step %d: %s can not be written: %s", _SAY_EVERY, step, self._what, error
        )
