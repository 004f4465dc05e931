"""The training loop. It knows no model: it is given a function that does steps, and hooks."""

import io
import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import tensorflow as tf
from tqdm import tqdm

from training.runs.survival import RolledBack

STOP = "control/stop"  # more than 0: a worker was asked to stop


class Hook(Protocol):
    """Called after every step, and once at the end."""

    def after_step(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def close(self, step: int) -> None: ...


class StopRequest:
    """Turns SIGTERM and SIGINT into a flag that the loop reads between two steps."""

    def __init__(self):
        self.signal = None

    def __enter__(self):
        self._previous = {s: signal.signal(s, self._set) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def _set(self, number, frame):
        self.signal = number

    def __exit__(self, *error):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def stops(self, metrics: Mapping[str, float]) -> bool:
        """Whether the loop ends here; `metrics` are those of the step before, {} at first."""
        return self.signal is not None


class AgreedStop(StopRequest):
    """For several workers: all stop after the same step, wherever the signal came.

    A worker tells the others by the step itself (`MetaTrainer.train_step(..., stop)`), whose
    metrics say on every worker that one was asked to.
    """

    def stops(self, metrics):
        return metrics.get(STOP, 0.0) > 0.0


def run_loop(
    train_steps: Callable[[int], tuple[int, Mapping[str, float]]],
    start: int,
    stop: int,
    hooks: Iterable[Hook],
    stop_request: StopRequest,
) -> int:
    """Runs steps start+1 … stop, or until asked to stop. Returns the last step done.

    Args:
      train_steps: (number of the last step done) → (steps done now, scalars of the last of them).
      start, stop: numbers of steps.
      hooks: called in this order. One may raise `RolledBack`: the loop goes on from that step, and
        the hooks behind it do not see the broken one.
      stop_request: when to end before `stop`.

    Hooks are closed in any case but a crash: a crash must not overwrite a good checkpoint.
    """
    hooks, step, metrics = list(hooks), start, {}
    while step < stop and not stop_request.stops(metrics):
        done, metrics = train_steps(step)
        step += done
        try:
            for hook in hooks:
                hook.after_step(step, metrics)
        except RolledBack as back:
            step = back.step
    for hook in hooks:
        hook.close(step)
    return step


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
    """Every metric to metrics.jsonl and TensorBoard each `every` steps.

    A value that is not finite is null in the file: NaN is no JSON.
    """

    def __init__(self, writer: tf.summary.SummaryWriter, jsonl_path, every: int):
        self._writer, self._every = writer, every
        self._file = open_lines(jsonl_path)
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
        line = {n: v if math.isfinite(v) else None for n, v in values.items()}
        self._file.write(json.dumps({"step": step, **line}) + "\n")
        self._file.flush()
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def close(self, step):
        self._file.close()
        self._writer.flush()


def open_lines(path) -> io.TextIOBase:
    """A file of lines opened for appending, without an unfinished last line (killed in it)."""
    file = open(path, "ab+")
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        block = min(end, 65536)
        file.seek(end - block)
        newline = file.read(block).rfind(b"\n")
        if newline >= 0:
            file.truncate(end - block + newline + 1)
            break
        end -= block
    else:
        file.truncate(0)
    return io.TextIOWrapper(file, encoding="utf-8")


class Every:
    """Calls `action(step)` every `every` steps, and at the end where that step was not done."""

    def __init__(self, every: int, action: Callable[[int], None]):
        self._every, self._action, self._done = every, action, None

    def after_step(self, step, metrics):
        if step % self._every == 0:
            self._action(step)
            self._done = step

    def close(self, step):
        if self._done != step:
            self._action(step)
