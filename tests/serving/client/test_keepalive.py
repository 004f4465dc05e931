"""A path that goes dead without a word holds a stream for seconds, not until its deadlines."""

import asyncio
import contextlib
import time

import pytest

from serving.client import channels
from serving.client.asynchronous import AsyncTalkingHeadClient
from tests.serving.client_helpers import ScriptedServer, jpeg_answer, make_card, signatures_of, track


class Path:
    """Forwards TCP; connections that are open when it is cut stay open and carry nothing."""

    def __init__(self, target: str):
        self._target = target.rsplit(":", 1)
        self._cut: list[asyncio.Event] = []
        self.connections = 0

    async def __aenter__(self) -> "Path":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.target = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()

    def cut(self) -> None:
        for event in self._cut:
            event.set()

    async def _connected(self, reader, writer) -> None:
        self.connections += 1
        cut = asyncio.Event()
        self._cut.append(cut)
        there, back = await asyncio.open_connection(*self._target)
        await asyncio.gather(self._carry(reader, back, cut), self._carry(there, writer, cut))

    async def _carry(self, reader, writer, cut) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while data := await reader.read(65536):
                if not cut.is_set():
                    writer.write(data)
                    await writer.drain()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(channels, "KEEPALIVE_SECONDS", 1)
    monkeypatch.setattr(channels, "KEEPALIVE_TIMEOUT_SECONDS", 1)


def test_a_stream_goes_on_over_a_new_connection(toy_server, quick):
    async def main():
        gaps = []
        async with Path(toy_server.target) as path, AsyncTalkingHeadClient(path.target) as client:
            last = time.monotonic()
            frames = client.stream(list(track(20)), make_card(), max_in_flight=2)
            async with contextlib.aclosing(frames):
                async for frame in frames:
                    gaps.append(time.monotonic() - last)
                    last = time.monotonic()
                    if frame.index == 5:
                        path.cut()
        return gaps, path.connections

    gaps, connections = asyncio.run(asyncio.wait_for(main(), 60))
    assert len(gaps) == 20 and connections == 2
    assert 1 < max(gaps) < 15  # the requests' deadlines are 30 s


def test_a_server_that_is_slow_and_allows_no_pings_is_not_lost(toy_server, quick):
    """Pings of a long request must not make a server with gRPC's defaults close the connection."""

    def answer(request, number, context):
        time.sleep(6)
        return jpeg_answer(request)

    server = ScriptedServer(signatures_of(toy_server), answer)

    async def main():
        async with Path(server.target) as path, AsyncTalkingHeadClient(path.target, retries=0) as client:
            frames = client.stream(list(track(2)), make_card(), max_in_flight=1)
            async with contextlib.aclosing(frames):
                return [frame.index async for frame in frames], path.connections

    assert asyncio.run(asyncio.wait_for(main(), 60)) == ([0, 1], 1)
    server.server.stop(None)
