"""Ordered answers of an asynchronous source: limits, newest first, errors, closing."""

import asyncio
import contextlib

import pytest

from serving.client.streaming import batches, in_order


class Source:
    """Gives 0, 1, 2, ... ; remembers how far it came and whether it was closed."""

    def __init__(self, length, pause=None, error=None):
        self.given, self.closed = 0, False
        self._length, self._pause, self._error = length, pause, error

    async def items(self):
        try:
            while self.given < self._length:
                if self._pause is not None:
                    await self._pause(self.given)
                self.given += 1
                yield self.given - 1
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


async def answered(taken):
    return taken.item * 10


async def collect(source, send, *args):
    async with contextlib.aclosing(in_order(source, send, *args)) as entries:
        return [(taken.item, answer.result()) async for taken, answer in entries]


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def test_answers_come_in_order_though_later_ones_are_faster():
    async def send(taken):
        await asyncio.sleep(0.02 * (3 - taken.item % 3))
        return taken.item * 10

    source = Source(7)
    assert run(collect(source.items(), send, 3)) == [(i, 10 * i) for i in range(7)]
    assert source.closed
    assert run(collect(iter(range(3)), answered, 1)) == [(0, 0), (1, 10), (2, 20)]


def test_a_slow_consumer_stops_the_source():
    async def consume():
        source = Source(100)
        async with contextlib.aclosing(in_order(source.items(), answered, 3)) as entries:
            await anext(entries)
            for _ in range(20):
                await asyncio.sleep(0)
            return source.given

    assert run(consume()) == 4  # the one that was taken, and three


def test_keeping_up_sends_the_newest_and_passes_over_the_rest():
    async def consume():
        begun, release = asyncio.Event(), asyncio.Event()

        async def pause(index):
            if index == 1:
                await begun.wait()  # the first request is under way
            if index == 6:
                release.set()  # 1 to 5 came while it was
                await asyncio.sleep(0.05)

        async def send(taken):
            begun.set()
            await release.wait()
            return taken.item

        return await collect(Source(7, pause).items(), send, 1, True)

    assert [item for item, _ in run(consume())] == [0, 5, 6]


def test_keeping_up_with_a_source_that_never_waits_ends_with_its_last_item():
    got = run(collect(iter(range(1000)), answered, 2, True))
    assert got[-1] == (999, 9990) and len(got) < 1000


@pytest.mark.parametrize("keep_up", [False, True])
def test_errors_of_the_source_come_after_its_items(keep_up):
    async def consume():
        got = []

        async def pause(index):
            await asyncio.sleep(0.01)

        source = Source(3, pause, error=OSError("unplugged"))
        with pytest.raises(OSError, match="unplugged"):
            async for taken, _ in in_order(source.items(), answered, 2, keep_up):
                got.append(taken.item)
        return got, source.closed

    assert run(consume()) == ([0, 1, 2], True)


@pytest.mark.parametrize("keep_up", [False, True])
@pytest.mark.parametrize("way", ["close", "cancel"])
def test_ending_cancels_requests_and_closes_the_source(keep_up, way):
    async def consume():
        cancelled = []

        async def send(taken):
            if taken.item == 0:
                return 0
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(taken.item)
                raise

        async def pause(index):
            await asyncio.sleep(0.001)

        source = Source(10**6, pause)
        entries = in_order(source.items(), send, 3, keep_up)
        before = asyncio.all_tasks()
        await anext(entries)
        while source.given < (6 if keep_up else 4):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        if way == "close":
            await entries.aclose()
        else:
            waiting = asyncio.create_task(anext(entries))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        return len(cancelled), source.closed, len(asyncio.all_tasks() - before)

    assert run(consume()) == (3, True, 0)


def test_batches_keep_what_came_before_an_error():
    async def consume(source):
        got = []
        with contextlib.suppress(OSError):
            async for batch in batches(source.items(), 2):
                got.append(batch)
        return got, source.closed

    assert run(consume(Source(5))) == ([[0, 1], [2, 3], [4]], True)
    assert run(consume(Source(3, error=OSError()))) == ([[0, 1], [2]], True)
