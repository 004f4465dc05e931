import threading
import time

import pytest

from tf_talking.media.stand_still import within


def test_items_come_one_by_one_from_one_other_thread():
    threads = []

    def items():
        try:
            for k in range(5):
                threads.append(threading.current_thread())
                yield k
        finally:
            threads.append(threading.current_thread())

    read = within(items, "reading")
    assert [next(read), next(read)] == [0, 1] and len(threads) == 2
    read.close()
    assert len(set(threads)) == 1 and threads[0] is not threading.current_thread()
    assert len(threads) == 3
    assert list(within(items, "reading")) == [0, 1, 2, 3, 4]


def test_errors_come_through():
    def broken():
        yield 1
        raise KeyError("two")

    read = within(broken, "reading")
    assert next(read) == 1
    with pytest.raises(KeyError, match="two"):
        next(read)


def test_what_stands_still_is_named_and_left_behind():
    release = threading.Event()

    def stuck():
        yield 1
        release.wait(30)
        yield 2

    read, start = within(stuck, "x.mov: decoding", most_seconds=0.2), time.monotonic()
    assert next(read) == 1
    with pytest.raises(TimeoutError, match=r"x.mov: decoding stands still: nothing came for 0.2 s"):
        next(read)
    assert time.monotonic() - start < 10
    release.set()
