"""Requests of an asynchronous source, several under way, answers in order.

The source is read by a task of its own, so requests go out while the consumer is busy. At most
`max_in_flight` requests are under way or wait to be taken: a consumer or a server that is slow
slows the source down, or with `keep_up` lets sets of the source pass by; nothing piles up.
"""

import asyncio
import dataclasses
import functools
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable

import numpy as np

from serving.client.messages import read_jpeg


@dataclasses.dataclass(frozen=True)
class StreamFrame:
    """A frame of a live stream.

    Attributes:
      index: which landmark set of the source it belongs to, from 0.
      jpeg: the file as the server encoded it; `frame` decodes it.
      latency: seconds from when the source gave the landmark set until the file was there.
      dropped: landmark sets before this one, since the start, that were passed over or whose
        frame did not come in time.
    """

    index: int
    jpeg: bytes
    latency: float
    dropped: int

    @functools.cached_property
    def frame(self) -> np.ndarray:
        """RGB uint8 [S, S, 3]. Raises TalkingHeadError (DATA_LOSS)."""
        return read_jpeg(self.jpeg)


@dataclasses.dataclass(frozen=True)
class Taken:
    """An item of the source: its number, when it came (time.monotonic()), and itself."""

    index: int
    time: float
    item: object


Send = Callable[[Taken], Awaitable[object]]


async def in_order(
    source: AsyncIterable | Iterable, send: Send, max_in_flight: int, keep_up: bool = False
) -> AsyncIterator[tuple[Taken, asyncio.Task]]:
    """Yields (what was sent, its finished task), in the source's order.

    Args:
      source: of anything but None; closed in the end.
      send: makes the request and awaits the answer.
      max_in_flight: see above.
      keep_up: always send the newest item; those that came in between are passed over.

    Raises:
      Exception: what the source raises, after everything that it gave before.
    """
    items = _numbered(source)
    if keep_up:
        items = _newest(items)
    room = asyncio.Semaphore(max_in_flight)
    sent: asyncio.Queue = asyncio.Queue()
    answers: set[asyncio.Task] = set()
    pump = asyncio.create_task(_pump(items, send, room, sent, answers))
    try:
        while (entry := await sent.get()) is not None:
            _, answer = entry
            await asyncio.wait([answer])
            answers.discard(answer)
            room.release()
            yield entry
        await pump
    finally:
        for task in (pump, *answers):
            task.cancel()
        await asyncio.gather(pump, *answers, return_exceptions=True)
        await items.aclose()


async def _pump(items, send: Send, room: asyncio.Semaphore, sent: asyncio.Queue, answers: set):
    try:
        while True:
            await room.acquire()
            taken = await anext(items, None)
            if taken is None:
                return
            answer = asyncio.create_task(send(taken))
            answers.add(answer)
            sent.put_nowait((taken, answer))
    finally:
        sent.put_nowait(None)


async def _numbered(source: AsyncIterable | Iterable) -> AsyncIterator[Taken]:
    """Numbers the items; closes the source, whichever way this ends."""
    index = 0
    try:
        if isinstance(source, AsyncIterable):
            async for item in source:
                yield Taken(index, time.monotonic(), item)
                index += 1
        else:
            for item in source:
                yield Taken(index, time.monotonic(), item)
                index += 1
    finally:
        if hasattr(source, "aclose"):
            await source.aclose()
        elif hasattr(source, "close"):
            source.close()


async def _newest(items: AsyncIterator[Taken]) -> AsyncIterator[Taken]:
    """Reads on while nobody asks, and gives only what came last."""
    newest: list[Taken] = []
    arrived = asyncio.Event()

    async def read() -> None:
        try:
            async for taken in items:
                newest[:] = [taken]
                arrived.set()
                await asyncio.sleep(0)  # a source that never waits must not stop the loop
        finally:
            arrived.set()

    reader = asyncio.create_task(read())
    try:
        while True:
            if newest:
                yield newest.pop()
            elif reader.done():
                await reader  # raises the source's error
                return
            else:
                arrived.clear()
                await arrived.wait()
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await items.aclose()


async def batches(source: AsyncIterable | Iterable, size: int) -> AsyncIterator[list]:
    """Lists of `size` items, the last one shorter. A failing source's last items come first."""
    batch: list = []
    items = _numbered(source)
    try:
        async for taken in items:
            batch.append(taken.item)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    finally:
        await items.aclose()
    if batch:
        yield batch
