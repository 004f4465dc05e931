"""The training loop. It knows no model: it is given a function that does steps, and hooks."""

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import tensorflow as tf

from training.runs.survival import RolledBack

STOP = "control/stop"  # more than 0: a worker was asked to stop


class Hook(Protocol):
    """Called after every step, and once at the end."""

    def after_step(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def close(self, step: int) -> None: ...


class Scalars(Mapping):
    """The scalars of a step, name → float32, kept as one vector until somebody reads them.

    Reading the first one waits for the step; ignoring them costs nothing.

    Args:
      names: one for each entry of `values`.
      values: float32 [len(names)].
    """

    def __init__(self, names: Sequence[str], values: tf.Tensor):
        self._index = {name: i for i, name in enumerate(names)}
        self._values = values
        self._read = None

    def __getitem__(self, name: str):
        if not hasattr(self._values, "numpy"):
            return self._values[self._index[name]]  # inside a graph
        if self._read is None:
            self._read = self._values.numpy()
        return self._read[self._index[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


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
