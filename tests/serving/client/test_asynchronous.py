"""The asyncio client against the embedded server, and against one that is slow or full."""

import asyncio
import contextlib
import threading
import time

import grpc
import numpy as np
import pytest

from serving.client.asynchronous import AsyncTalkingHeadClient, TalkingHeadError
from serving.client.blocking import CardMismatchError
from serving.client.messages import read_jpeg
from tests.serving.client_helpers import (
    POINTS,
    SIZE,
    ScriptedServer,
    column_of_point,
    jpeg_answer,
    make_card,
    signatures_of,
    track,
)


def run(target, use, **options):
    """Runs `use(client)` in an event loop."""

    async def main():
        async with AsyncTalkingHeadClient(target, **options) as client:
            return await asyncio.wait_for(use(client), 30)

    return asyncio.run(main())


async def paced(rows, seconds=0.005):
    for row in rows:
        yield row
        await asyncio.sleep(seconds)


@pytest.fixture
def scripted(toy_server):
    """scripted(answer) -> target of a server with the toy generator's signatures."""
    servers = []

    def start(answer):
        servers.append(ScriptedServer(signatures_of(toy_server), answer))
        return servers[-1].target

    yield start
    for server in servers:
        server.server.stop(None)


def test_the_methods_of_the_synchronous_client(toy_server):
    async def use(client):
        await client.wait_until_ready(["generator", "embedder"], timeout=10)
        assert await client.healthy() is True
        (status,) = await client.model_status("generator")
        assert status.state == "AVAILABLE"
        frames = np.full((3, SIZE, SIZE, 3), 7, np.uint8)
        embedding, _ = await client.embed(frames, np.zeros((3, POINTS, 2), np.float32))
        assert embedding.tolist() == [7, 7, 7, 0]
        files = [data async for data in client.animate_jpeg(track(3), make_card(), batch_size=2)]
        assert len(files) == 3
        assert np.abs(read_jpeg(files[2])[50, 50].astype(int) - (40, 80, 120)).max() <= 4
        for size in (1, 4):
            drawn = [f async for f in client.animate(paced(track(10)), make_card(), None, size)]
            assert [column_of_point(frame) for frame in drawn] == list(range(4, 14))
        with pytest.raises(TalkingHeadError, match="nobody.*not available within 0.2 s"):
            await client.wait_until_ready(["nobody"], timeout=0.2)

    run(toy_server.target, use)


def test_errors_are_those_of_the_synchronous_client(toy_server):
    async def use(client):
        with pytest.raises(CardMismatchError, match="image_size is 128 pixels, the model's 64"):
            await anext(client.animate(track(1), make_card(image_size=128)))
        with pytest.raises(ValueError, match=r"landmarks of frame 5: got shape \[67,2\]"):
            rows = [*track(5), track(1)[0, :67]]
            async for frame in client.animate(rows, make_card(), batch_size=2):
                assert frame.shape == (SIZE, SIZE, 3)
        with pytest.raises(TalkingHeadError, match="NOT_FOUND: Servable not found") as caught:
            await anext(client.stream(track(1), make_card(), model="nobody"))
        assert caught.value.code == grpc.StatusCode.NOT_FOUND
        with pytest.raises(ValueError, match="max_in_flight: got 0"):
            await anext(client.stream(track(1), make_card(), max_in_flight=0))

    run(toy_server.target, use)


def test_stream_without_keeping_up_loses_nothing(toy_server):
    async def use(client):
        return [frame async for frame in client.stream(paced(track(12), 0), make_card())]

    frames = run(toy_server.target, use)
    assert [frame.index for frame in frames] == list(range(12))
    assert [column_of_point(frame.frame) for frame in frames] == list(range(4, 16))
    assert {frame.dropped for frame in frames} == {0}
    assert all(frame.latency > 0 for frame in frames)


def test_keeping_up_with_a_slow_server_drops_and_counts(scripted):
    busy = threading.Semaphore(1)

    def answer(request, number, context):
        with busy:  # one frame at a time, slower than the source by far
            time.sleep(0.05)
        return jpeg_answer(request)

    async def use(client):
        rows = track(56)
        stream = client.stream(paced(rows), make_card(), max_in_flight=2, keep_up=True)
        return [frame async for frame in stream]

    frames = run(scripted(answer), use)
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices)) and len(indices) < 40
    assert indices[-1] == 55  # the newest is always sent
    assert frames[-1].dropped == 56 - len(frames)
    for frame in frames:  # and each frame is that of its own landmarks
        assert abs(int(frame.frame[0, 0, 0]) - frame.index - 4) <= 1


def test_a_full_server_costs_a_live_stream_frames_and_others_an_error(scripted):
    def answer(request, number, context):
        if number in (1, 2):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue is full")
        return jpeg_answer(request)

    async def live(client):
        stream = client.stream(paced(track(10), 0.02), make_card(), keep_up=True)
        return [frame async for frame in stream]

    async def strict(client):
        seen = []
        with pytest.raises(TalkingHeadError, match="frame 1 by model generator.*queue is full"):
            async for frame in client.stream(paced(track(10), 0.02), make_card()):
                seen.append(frame.index)
        return seen

    frames = run(scripted(answer), live)
    assert frames[-1].index == 9 and frames[-1].dropped == 10 - len(frames) >= 2
    assert run(scripted(answer), strict) == [0]


def test_max_latency_gives_up_late_frames(scripted):
    release = threading.Event()

    def answer(request, number, context):
        if number == 1:
            release.wait(20)
        return jpeg_answer(request)

    async def rows():
        """The last one comes late: it has time left when the one before is given up."""
        for number, row in enumerate(track(3)):
            if number == 2:
                await asyncio.sleep(2)
            yield row
            await asyncio.sleep(0.02)

    async def live(client):
        stream = client.stream(rows(), make_card(), max_latency=3, keep_up=True, max_in_flight=1)
        return [(frame.index, frame.dropped) async for frame in stream]

    async def strict(client):
        stream = client.stream(paced(track(3), 0.02), make_card(), max_latency=3)
        with pytest.raises(TalkingHeadError) as caught:
            async for _ in stream:
                pass
        return caught.value.code

    target = scripted(answer)
    assert run(target, live) == [(0, 0), (2, 1)]
    target = scripted(answer)
    assert run(target, strict) == grpc.StatusCode.DEADLINE_EXCEEDED
    release.set()


def test_a_live_stream_ends_when_the_server_stays_away(scripted):
    def answer(request, number, context):
        if number > 0:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue is full")
        return jpeg_answer(request)

    async def use(client):
        seen = []
        with pytest.raises(TalkingHeadError, match="queue is full"):
            async for frame in client.stream(paced(track(500), 0.01), make_card(), keep_up=True):
                seen.append(frame.index)
        return seen

    assert run(scripted(answer), use, timeout=0.4) == [0]


def test_closing_cancels_at_the_server_and_closes_the_source(scripted):
    begun, ended = threading.Semaphore(0), threading.Semaphore(0)

    def answer(request, number, context):
        if number > 0:
            over = threading.Event()
            context.add_callback(over.set)
            begun.release()
            if over.wait(60) and not context.is_active():
                ended.release()
        return jpeg_answer(request)

    closed = []

    async def source():
        try:
            for row in track(1000):
                yield row
                await asyncio.sleep(0.001)
        finally:
            closed.append(True)

    async def use(client):
        stream = client.stream(source(), make_card(), max_in_flight=3)
        async with contextlib.aclosing(stream):
            assert (await anext(stream)).index == 0
            for _ in range(3):  # more are under way
                assert await asyncio.to_thread(begun.acquire, timeout=60)
        return closed

    assert run(scripted(answer), use) == [True]
    assert all(ended.acquire(timeout=60) for _ in range(3))
