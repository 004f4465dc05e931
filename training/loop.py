"""The training loop. It knows no model: it is given a step, an iterator and hooks."""

import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import tensorflow as tf
from tqdm import tqdm


class Hook(Protocol):
    """Called after every step, and once at the end."""

    def after_step(self, step: int, metrics: dict[str, tf.Tensor]) -> None: ...

    def close(self, step: int) -> None: ...


class StopRequest:
    """Turns SIGTERM and SIGINT into a flag that the loop reads between two steps."""

    def __init__(self):
        self.signal = None

    def __enter__(self):
        self._previous = {
            s: signal.signal(s, self._set) for s in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def _set(self, number, frame):
        self.signal = number

    def __exit__(self, *error):
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def run_loop(
    train_step: Callable[[object], dict[str, tf.Tensor]],
    batches: Iterator,
    start: int,
    stop: int,
    hooks: Iterable[Hook],
    stop_request: StopRequest,
) -> int:
    """Runs steps start+1 … stop, or until asked to stop. Returns the last step done.

    Hooks are closed in any case but a crash: a crash must not overwrite a good checkpoint.
    """
    hooks, step = list(hooks), start
    while step < stop and stop_request.signal is None:
        metrics = train_step(next(batches))
        step += 1
        for hook in hooks:
            hook.after_step(step, metrics)
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
        self._bar.update(1)

    def close(self, step):
        self._bar.close()


class ScalarLog:
    """Every metric to TensorBoard and to metrics.jsonl each `every` steps."""

    def __init__(self, writer: tf.summary.SummaryWriter, jsonl_path, every: int):
        self._writer, self._every = writer, every
        self._file = open(jsonl_path, "a")
        self._time, self._step = time.monotonic(), None

    def after_step(self, step, metrics):
        if step % self._every:
            return
        values = {name: float(value) for name, value in sorted(metrics.items())}
        now = time.monotonic()
        if self._step is not None:
            values["speed/steps_per_second"] = (step - self._step) / max(now - self._time, 1e-9)
        self._time, self._step = now, step
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def close(self, step):
        self._writer.flush()
        self._file.close()


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
