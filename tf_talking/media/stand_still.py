"""What may stand still for ever, such as a decoder whose threads wait for each other."""

import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Iterator

# Minutes on an idle machine are seconds that one picture may take on a busy one.
MOST_SECONDS = 120.0


def within(make: Callable[[], Iterator], what: str, most_seconds: float | None = None) -> Iterator:
    """The items of an iterator that is made, read and closed in a thread of its own.

    Only one of the two threads runs at a time. One that stands still is left behind with all that
    it holds: native code can not be stopped. It does not keep the process from ending.

    Args:
      make: makes the iterator.
      what: is named in the error.
      most_seconds: that one item may take; None: `MOST_SECONDS`.

    Raises:
      TimeoutError: an item did not come in time.
      Exception: what the iterator raises.
    """
    most_seconds = most_seconds or MOST_SECONDS
    wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
    given: queue.SimpleQueue[tuple] = queue.SimpleQueue()
    threading.Thread(target=_serve, args=(make, wanted, given), name="reader", daemon=True).start()
    ended = False
    try:
        while True:
            wanted.put(True)
            try:
                item, error, ended = given.get(timeout=most_seconds)
            except queue.Empty:
                ended = True
                raise TimeoutError(f"{what} stands still: nothing came for {most_seconds:g} s") from None
            if error is not None:
                raise error
            if ended:
                return
            yield item
            del item  # not kept while the next one is made
    finally:
        if not (ended or sys.is_finalizing()):
            wanted.put(False)
            with contextlib.suppress(queue.Empty):
                while not given.get(timeout=most_seconds)[2]:  # an item that was being made
                    pass


def _serve(make: Callable[[], Iterator], wanted: queue.SimpleQueue, given: queue.SimpleQueue) -> None:
    """Puts (item, error, ended) for each True, and once more when it is over."""
    try:
        iterator = iter(make())
        try:
            while wanted.get():
                try:
                    item = next(iterator)
                except StopIteration:
                    break
                given.put((item, None, False))
                del item
        finally:
            if hasattr(iterator, "close"):
                iterator.close()
    except BaseException as error:
        given.put((None, error, True))
    else:
        given.put((None, None, True))
