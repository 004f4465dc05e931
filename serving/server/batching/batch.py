"""What waits in a batcher's queue: requests, their parts, and the batches that parts are put in."""

import dataclasses
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import grpc
import numpy as np

from serving.server.batching_parameters import BatchingOptions
from serving.server.errors import ServingError, from_exception, invalid_argument, without_frames
from serving.server.models.servable import Servable

Feeds = dict[str, np.ndarray]  # tensor name -> value


class Request:
    """One caller's request; its parts may be computed in several batches."""

    def __init__(self, future: Future, deadline: float | None, finish: Callable, parts: int):
        self.future = future
        self._finish = finish
        self.deadline = math.inf if deadline is None else deadline
        self.enqueued = time.monotonic()
        self._results: list[list[np.ndarray] | None] = [None] * parts
        self._lock = threading.Lock()
        self._started = False

    def start(self) -> bool:
        """False if nobody waits for it any more."""
        with self._lock:
            if self.future.done():
                return False
            if time.monotonic() >= self.deadline:
                self._fail(
                    ServingError(
                        grpc.StatusCode.DEADLINE_EXCEEDED, "Run() timeout exceeded while waiting in batching queue"
                    )
                )
                return False
            if not self._started:
                self._started = True
                return self.future.set_running_or_notify_cancel()
            return True

    def fail(self, error: ServingError) -> None:
        """Ends the request, whatever of it has been computed."""
        with self._lock:
            self._fail(error)

    def finish(self, index: int, values: list[np.ndarray]) -> None:
        """Takes the outputs of one part; the last one completes the request."""
        with self._lock:
            self._results[index] = values
            if self.future.done() or any(result is None for result in self._results):
                return
            if len(self._results) > 1:
                values = [np.concatenate(pieces) for pieces in zip(*self._results, strict=True)]
            try:
                self.future.set_result(self._finish(values))
            except Exception as error:  # outputs that can not be sent
                self.future.set_exception(without_frames(from_exception(error)))

    def _fail(self, error: ServingError) -> None:
        if not self.future.done() and (self._started or self.future.set_running_or_notify_cancel()):
            self._started = True
            self.future.set_exception(without_frames(error))


@dataclasses.dataclass
class Part:
    """Rows of a request that are computed in one batch."""

    request: Request
    index: int
    rows: int
    feeds: Feeds


@dataclasses.dataclass
class Batch:
    """Parts that are run together, all for the same servable, outputs and shapes."""

    queue: tuple
    servable: Servable
    fetches: list[str]
    options: BatchingOptions
    due: float
    parts: list[Part] = dataclasses.field(default_factory=list)
    rows: int = 0

    def add(self, part: Part) -> None:
        """Takes a part for which there is room; a full batch is due at once."""
        self.parts.append(part)
        self.rows += part.rows
        if self.rows >= self.options.max_execution_batch_size:
            self.due = -math.inf  # full

    def remove(self, future: Future) -> Request | None:
        """Drops the parts of a request, if it has any here; returns it."""
        dead = [part for part in self.parts if part.request.future is future]
        self.parts = [part for part in self.parts if part.request.future is not future]
        self.rows -= sum(part.rows for part in dead)
        return dead[0].request if dead else None


def row_count(feeds: Feeds) -> int:
    """Size of dimension 0, which all inputs share.

    Raises:
      ServingError: INVALID_ARGUMENT where they do not, or there is none.
    """
    if not feeds:
        raise invalid_argument("Batching Run() must have at least one input tensor")
    if any(value.ndim == 0 for value in feeds.values()):
        raise invalid_argument("Batching Run() input tensors must have at least one dimension")
    sizes = {len(value) for value in feeds.values()}
    if len(sizes) > 1:
        raise invalid_argument(f"Batching Run() input tensors must have equal 0th-dimension size, got {sorted(sizes)}")
    return sizes.pop()
