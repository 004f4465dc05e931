"""Requests of several clients in one run of the graph.

As TensorFlow Serving's batching session: requests for the same version, signature and outputs are
concatenated along dimension 0, padded to an allowed size by repeats of a row, run, and taken
apart. A batch starts when it is full or its oldest request has waited long enough, and a thread of
the pool, which all models share, is free.

Kinder than TensorFlow Serving in two points: requests whose shapes differ beyond dimension 0 get a
batch of their own, and a request whose values the graph refuses does not take the others along.

A request is a `concurrent.futures.Future`: cancelled before its batch starts it is not computed.
Abandoned it takes no place in the queue either.
"""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import grpc
import numpy as np

from serving.server.batching.batch import Batch, Feeds, Part, Request, row_count
from serving.server.batching_parameters import BatchingOptions
from serving.server.errors import ServingError, from_exception, invalid_argument
from serving.server.metrics import Metrics
from serving.server.models.servable import Servable


class Batcher:
    """The queues of all servables and the threads that empty them.

    Args:
      options: `threads` and `pool_name` of these are used.
      metrics: sizes and waiting times are counted there.
    """

    def __init__(self, options: BatchingOptions, metrics: Metrics):
        self._metrics = metrics
        self._pool_name = options.pool_name
        self._changed = threading.Condition()
        self._batches: list[Batch] = []  # waiting, oldest first
        self._open: dict[tuple, Batch] = {}  # those that take more rows, by queue and shapes
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{options.pool_name}-{n}", daemon=True)
            for n in range(options.threads)
        ]
        for thread in self._threads:
            thread.start()
        metrics.watch_queues(self.lengths)

    def lengths(self) -> dict[str, int]:
        """Requests that wait, by name of the model."""
        with self._changed:
            counts: dict[str, int] = {}
            for batch in self._batches:
                name = batch.servable.name
                counts[name] = counts.get(name, 0) + len(batch.parts)
            return counts

    def submit(
        self,
        servable: Servable,
        feeds: Feeds,
        fetches: list[str],
        deadline: float | None,
        future: Future,
        finish: Callable[[list[np.ndarray]], object] = lambda values: values,
    ) -> None:
        """Queues a request; `future` gets what `finish` makes of its outputs, or a ServingError.

        Args:
          servable: with batching options; held by the caller until `future` is done.
          feeds: tensor name -> value.
          fetches: tensor names.
          deadline: on `time.monotonic`'s clock; None waits for ever.
          future: pending; may be cancelled by the caller.
          finish: called with the outputs in the order of `fetches`.

        Raises:
          ServingError: INVALID_ARGUMENT when the inputs can not be batched or are too many rows,
            UNAVAILABLE when the queue is full.
        """
        rows, options = row_count(feeds), servable.batching
        if rows > options.max_batch_size:
            raise invalid_argument(f"Task size {rows} is larger than maximum input batch size {options.max_batch_size}")
        self._metrics.input_batch_size.observe(rows)
        queue = (servable, *fetches)
        shapes = tuple((name, value.shape[1:]) for name, value in sorted(feeds.items()))
        key = (*queue, shapes)
        with self._changed:
            if self._closed:
                raise ServingError(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")
            if future.cancelled():  # who abandons it cancels it first
                return
            sizes = self._part_sizes(key, rows, options)
            self._check_capacity(queue, len(sizes) - self._fits(key, sizes[0]), options)
            request = Request(future, deadline, finish, len(sizes))
            start = 0
            for index, size in enumerate(sizes):
                piece = {name: value[start : start + size] for name, value in feeds.items()}
                batch = self._batch_with_room(key, size, servable, fetches, options)
                batch.add(Part(request, index, size, piece))
                start += size
            self._changed.notify_all()

    def abandon(self, future: Future) -> None:
        """Nobody waits for a request any more, which has been cancelled if it could be.

        What of it is in the queue leaves it; what is being computed is computed to no end.
        """
        with self._changed:
            found = [batch.remove(future) for batch in self._batches]
            for batch in [batch for batch in self._batches if not batch.parts]:
                self._take(batch)
        for request in filter(None, found):
            self._count_waiting(request)
            request.fail(ServingError(grpc.StatusCode.CANCELLED, "nobody waits for it"))

    def close(self) -> None:
        """Computes what is queued, then ends the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    # Below: with the lock held.

    def _fits(self, key: tuple, rows: int) -> bool:
        return key in self._open and rows <= self._room(key)

    def _room(self, key: tuple) -> int:
        batch = self._open.get(key)
        return 0 if batch is None else batch.options.max_execution_batch_size - batch.rows

    def _part_sizes(self, key: tuple, rows: int, options: BatchingOptions) -> list[int]:
        """Rows of each part: the first fills up the open batch, if requests may be split."""
        limit = options.max_execution_batch_size
        if not options.splitting:
            return [rows]
        first = min(rows, self._room(key) or limit)
        rest = rows - first
        return [first] + [limit] * (rest // limit) + ([rest % limit] if rest % limit else [])

    def _check_capacity(self, queue: tuple, new: int, options: BatchingOptions) -> None:
        waiting = sum(batch.queue == queue for batch in self._batches)
        if waiting + new > options.max_enqueued_batches:
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full "
                f"(max_enqueued_batches={options.max_enqueued_batches})",
            )

    def _batch_with_room(self, key, rows, servable, fetches, options) -> Batch:
        if not self._fits(key, rows):
            if key in self._open:
                self._open[key].due = -math.inf  # closed
            due = time.monotonic() + options.timeout_seconds
            batch = Batch(key[:-1], servable, fetches, options, due)
            self._batches.append(batch)
            self._open[key] = batch
        return self._open[key]

    def _take(self, batch: Batch) -> Batch:
        self._batches.remove(batch)
        for key in [key for key, other in self._open.items() if other is batch]:
            del self._open[key]
        return batch

    def _next(self) -> Batch | None:
        """Waits for a batch that is due; None when all is done."""
        while True:
            now = time.monotonic()
            for batch in self._batches:
                if batch.due <= now or self._closed:
                    return self._take(batch)
            if self._closed:
                return None
            due = min((batch.due for batch in self._batches), default=None)
            self._changed.wait(None if due is None else max(due - now, 0.0))

    # The threads.

    def _work(self) -> None:
        while True:
            with self._changed:
                batch = self._next()
            if batch is None:
                return
            self._process(batch)
            del batch  # an idle thread must not keep an unloaded servable alive

    def _process(self, batch: Batch) -> None:
        for part in batch.parts:
            self._count_waiting(part.request)
        parts = [part for part in batch.parts if part.request.start()]
        if parts:
            self._run(batch, parts)

    def _count_waiting(self, request: Request) -> None:
        """As TensorFlow Serving, also of those that are late: overload must not look like rest."""
        waited = 1e6 * (time.monotonic() - request.enqueued)
        self._metrics.queuing_latency.labels(self._pool_name).observe(waited)

    def _run(self, batch: Batch, parts: list[Part]) -> None:
        try:
            results = self._computed(batch, parts)
        except Exception as error:  # this thread must outlive any request
            refusal = from_exception(error)
            if refusal.code == grpc.StatusCode.INVALID_ARGUMENT and len(parts) > 1:
                for part in parts:  # one of them is to blame; the others are not
                    self._run(batch, [part])
                return
            for part in parts:
                part.request.fail(refusal)
            return
        for part, values in zip(parts, results, strict=True):
            part.request.finish(part.index, values)

    def _computed(self, batch: Batch, parts: list[Part]) -> list[list[np.ndarray]]:
        """The outputs of each part."""
        rows = sum(part.rows for part in parts)
        size = batch.options.padded(rows) if rows else 0
        self._metrics.processed_batch_size.observe(size)
        self._metrics.padding_size.observe(size - rows)
        feeds = {}
        for name in parts[0].feeds:
            pieces = [part.feeds[name] for part in parts]
            if size > rows:  # a row that is known to fit is repeated
                first = next(piece for piece in pieces if len(piece))[:1]
                pieces += [first] * (size - rows)
            feeds[name] = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
        deadline = max(part.request.deadline for part in parts)
        timeout = None if deadline == math.inf else max(deadline - time.monotonic(), 0.001)
        began = time.monotonic()
        outputs = batch.servable.run(feeds, batch.fetches, timeout)
        self._metrics.run(batch.servable.name, time.monotonic() - began)
        ends = np.cumsum([part.rows for part in parts])
        starts = ends - [part.rows for part in parts]
        for name, output in zip(batch.fetches, outputs, strict=True):
            if np.ndim(output) == 0 or len(output) != size:
                raise ServingError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"Batched output tensor's 0th dimension does not equal the sum of the 0th "
                    f"dimension sizes of the input tensors ({name})",
                )
        return [[output[start:end] for output in outputs] for start, end in zip(starts, ends, strict=True)]
