"""Runs units of work in worker processes and survives the death of one of them.

A process that dies (out of memory, a crash in a decoder) breaks a whole `ProcessPoolExecutor`.
Here the items that were being worked on are then tried again one at a time, each in a process of
its own, and only the one that kills its process is given up.
"""

import concurrent.futures
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool

_POLL_SECONDS = 0.5


class WorkerPool:
    """Processes started by "spawn": nothing of the parent (TensorFlow, threads) is inherited.

    Args:
      workers: number of processes.
      work: importable function of one item; its result is pickled back.
      initializer: importable function, called once in each process with `initargs`.
    """

    def __init__(self, workers: int, work: Callable, initializer: Callable, initargs: tuple = ()):
        self.workers = workers
        self._work, self._initializer, self._initargs = work, initializer, initargs

    def _executor(self, workers: int) -> concurrent.futures.ProcessPoolExecutor:
        return concurrent.futures.ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _start_worker, (self._initializer, self._initargs)
        )

    def run(self, units: Sequence[list], give_up: Callable, on_poll: Callable = lambda: None) -> Iterator[list]:
        """Yields the list of results of each unit, in the order in which they are finished.

        Args:
          units: lists of items; one unit is done by one process.
          give_up: item -> result of an item that kills its process.
          on_poll: called about twice a second, for a progress line.

        Raises:
          Exception: whatever `work` raises.
        """
        waiting = list(reversed(units))
        while waiting:
            running: dict[concurrent.futures.Future, list] = {}
            executor = self._executor(min(self.workers, len(waiting)))
            try:
                while waiting or running:
                    # Not all at once: results wait in memory until they are written.
                    while waiting and len(running) < self.workers + 1:
                        # Where the pool is broken by now, this raises: the unit waits on.
                        running[executor.submit(_run_unit, self._work, waiting[-1])] = waiting[-1]
                        waiting.pop()
                    for future in _next_done(running, on_poll):
                        results = future.result()  # raises where the pool is broken
                        del running[future]
                        yield results
                executor.shutdown()
            except BrokenProcessPool:
                executor.shutdown(cancel_futures=True)
                for unit in running.values():
                    yield [self._alone(item, give_up, on_poll) for item in unit]
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                for process in multiprocessing.active_children():
                    process.terminate()
                raise

    def _alone(self, item, give_up: Callable, on_poll: Callable):
        with self._executor(1) as executor:
            future = executor.submit(_run_unit, self._work, [item])
            try:
                while not future.done():
                    _next_done([future], on_poll)
                return future.result()[0]
            except BrokenProcessPool:
                return give_up(item)


def _next_done(futures, on_poll: Callable) -> set[concurrent.futures.Future]:
    done, _ = concurrent.futures.wait(futures, _POLL_SECONDS, concurrent.futures.FIRST_COMPLETED)
    on_poll()
    return done


def _run_unit(work: Callable, unit: list) -> list:
    return [work(item) for item in unit]


def _start_worker(initializer: Callable, initargs: tuple) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    initializer(*initargs)


def _die_with_parent() -> None:
    """A killed parent can not stop its workers; they would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)
