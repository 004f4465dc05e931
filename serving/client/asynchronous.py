"""The client for asyncio, and live streams.

    async with AsyncTalkingHeadClient("localhost:8500") as client:
        await client.wait_until_ready()
        async with contextlib.aclosing(client.stream(source, card, keep_up=True)) as frames:
            async for frame in frames:     # StreamFrame: frame RGB uint8 [S, S, 3], index, latency
                ...

Conventions, checks and errors are those of `serving.client.blocking`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence

import grpc
import numpy as np

from serving.client import messages, signatures
from serving.client.frame_requests import DEFAULT_MODEL, Drawing, choice_of, drawing, other_versions
from serving.client.messages import ModelChoice, TalkingHeadError, VersionStatus
from serving.client.streaming import StreamFrame, Taken, batches, in_order
from serving.client.stubs import POLL_SECONDS, Stubs
from serving.protocol import api
from tf_talking.people.card import PersonCard

__all__ = ["AsyncTalkingHeadClient", "StreamFrame", "TalkingHeadError"]

# A live picture halts while these last; other errors end the stream at once.
_PASSING = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


class AsyncTalkingHeadClient(Stubs):
    """Speaks to one server, or to several that serve the same, from one event loop.

    Arguments and methods are those of `TalkingHeadClient`; `stream` is new.
    """

    def _open(self, where):
        return where.open_async()

    async def close(self) -> None:
        """See `TalkingHeadClient`."""
        await self._channel.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_) -> None:
        await self.close()

    async def model_status(self, model: str, timeout: float | None = None) -> list[VersionStatus]:
        """See `TalkingHeadClient`."""
        request = messages.status_request(model)
        with self._errors(f"status of model {model}"):
            response = await self._get_status(request, timeout=timeout or self._timeout)
        return messages.read_status(response)

    async def metadata(
        self, model: str, *, version: int | None = None, label: str | None = None
    ) -> dict[str, signatures.Signature]:
        """See `TalkingHeadClient`."""
        return (await self.served(model, version=version, label=label)).signatures

    async def served(self, model: str, *, version: int | None = None, label: str | None = None) -> signatures.Served:
        """See `TalkingHeadClient`."""
        return await self._look(ModelChoice(model, version, label))

    async def healthy(self, timeout: float | None = None) -> bool | None:
        """See `TalkingHeadClient`."""
        request = api.HealthCheckRequest()
        try:
            with self._errors("health"):
                answer = await self._check_health(request, timeout=timeout or self._timeout)
        except TalkingHeadError as error:
            return messages.read_health(error)
        return messages.read_health(answer)

    async def wait_until_ready(self, models: Iterable[str] = (DEFAULT_MODEL,), timeout: float = 60.0) -> None:
        """See `TalkingHeadClient`."""
        waiting = messages.Waiting(self.target, timeout)
        for what, look, is_good in self._checks(models):
            while True:
                try:
                    seen = await look(waiting.deadline(self._timeout))
                except TalkingHeadError as error:
                    seen = error
                if is_good(seen):
                    break
                waiting.saw(what, seen)
                await asyncio.sleep(POLL_SECONDS)

    async def embed(
        self,
        frames: np.ndarray,
        landmarks: np.ndarray,
        model: str = "embedder",
        *,
        version: int | None = None,
        label: str | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `TalkingHeadClient`."""
        request, single = messages.embed_request(frames, landmarks, ModelChoice(model, version, label))
        return messages.read_embedding(await self._answer(request, "embed"), model, single)

    async def embed_jpeg(
        self,
        images: Sequence[bytes],
        landmarks: np.ndarray,
        model: str = "embedder",
        *,
        version: int | None = None,
        label: str | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `TalkingHeadClient`."""
        request = messages.embed_jpeg_request(images, landmarks, ModelChoice(model, version, label))
        return messages.read_embedding(await self._answer(request, "embed_jpeg"), model, True)

    async def animate(
        self,
        landmarks: AsyncIterable[np.ndarray] | Iterable[np.ndarray],
        person: PersonCard | np.ndarray,
        model: str | None = None,
        batch_size: int = 1,
        *,
        version: int | None = None,
        label: str | None = None,
    ) -> AsyncGenerator[np.ndarray, None]:
        """See `TalkingHeadClient`; the landmarks may come from an asynchronous source."""
        files = self.animate_jpeg(landmarks, person, model, batch_size, version=version, label=label)
        async with contextlib.aclosing(files):
            async for data in files:
                yield messages.read_jpeg(data)

    async def animate_jpeg(
        self,
        landmarks: AsyncIterable[np.ndarray] | Iterable[np.ndarray],
        person: PersonCard | np.ndarray,
        model: str | None = None,
        batch_size: int = 1,
        *,
        version: int | None = None,
        label: str | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Like `animate`, but yields the JPEG files as the server encoded them."""
        what = await self._drawing(person, choice_of(person, model, version, label))
        async with contextlib.aclosing(self._draw(landmarks, what, batch_size)) as results:
            async for result in results:
                yield result

    async def stream(
        self,
        source: AsyncIterable[np.ndarray] | Iterable[np.ndarray],
        person: PersonCard | np.ndarray,
        model: str | None = None,
        *,
        max_in_flight: int | None = None,
        max_latency: float | None = None,
        keep_up: bool = False,
        version: int | None = None,
        label: str | None = None,
    ) -> AsyncGenerator[StreamFrame, None]:
        """Frames of the person for landmark sets as they come, in order.

        Closing the generator cancels the requests under way and closes the source.

        Args:
          source: landmark sets float [P, 2].
          person, model, version, label: as for `TalkingHeadClient.animate`.
          max_in_flight: requests under way, or answered and not yet taken; the client's by
            default. With a server that draws one frame after the other, latency is about that
            many frames.
          max_latency: seconds from a landmark set to its frame. Later ones are given up: an error
            DEADLINE_EXCEEDED, or with `keep_up` a dropped set.
          keep_up: for live sources. Sets that come while `max_in_flight` are under way are
            dropped, the newest is sent next: a slow server means fewer frames a second and no
            growing delay. A server that is busy or away for less than the client's timeout makes
            the picture halt, not end.

        Raises:
          CardMismatchError, ValueError: before anything is sent; ValueError also for a wrong
            landmark set, CardMismatchError when another model takes the place of the person's,
            after the frames before it.
          TalkingHeadError: the frames before the failing one have been yielded.
        """
        if max_in_flight is not None and max_in_flight < 1:
            raise ValueError(f"max_in_flight: got {max_in_flight}, expected at least 1")
        what = await self._drawing(person, choice_of(person, model, version, label))

        async def send(taken: Taken) -> bytes:
            row = what.checked(taken.item, taken.index)
            left = self._timeout
            if max_latency is not None:
                left = min(left, taken.time + max_latency - time.monotonic())
            return (await self._draw_rows(what, [row], taken.index, left))[0]

        entries = in_order(source, send, max_in_flight or self._max_in_flight, keep_up)
        next_index = dropped = 0
        failing_since: float | None = None
        async with contextlib.aclosing(entries):
            async for taken, answer in entries:
                now = time.monotonic()
                dropped += taken.index - next_index
                next_index = taken.index + 1
                error = answer.exception()
                if keep_up and isinstance(error, TalkingHeadError) and error.code in _PASSING:
                    failing_since = failing_since or now
                    if now - failing_since < self._timeout:
                        dropped += 1
                        continue
                if error is not None:
                    raise error
                failing_since = None
                latency = time.monotonic() - taken.time
                yield StreamFrame(taken.index, answer.result(), latency, dropped)

    # Below: how.

    async def _answer(self, request, what: str, timeout: float | None = None):
        with self._errors(f"{what} by model {request.model_spec.name}"):
            return await self._predict(request, timeout=timeout or self._timeout)

    async def _look(self, choice: ModelChoice) -> signatures.Served:
        with self._errors(f"metadata of {choice}"):
            response = await self._get_metadata(messages.metadata_request(choice), timeout=self._timeout)
        return signatures.served(response)

    async def _drawing(self, person: PersonCard | np.ndarray, choice: ModelChoice) -> Drawing:
        """See `TalkingHeadClient`."""
        known = await self._look(choice)
        try:
            return drawing(person, choice, known, self.target)
        except signatures.CardMismatchError:
            others = []
            if choice.is_free:
                with contextlib.suppress(TalkingHeadError):
                    others = other_versions(choice, known, await self.model_status(choice.model))
            for other in others:
                with contextlib.suppress(signatures.CardMismatchError, TalkingHeadError):
                    return drawing(person, other, await self._look(other), self.target)
            raise

    async def _draw_rows(self, what: Drawing, rows: list, first: int, timeout: float):
        if timeout <= 0:
            raise TalkingHeadError(f"frame {first}", grpc.StatusCode.DEADLINE_EXCEEDED, "late before it was sent")
        response = await self._answer(what.request(rows), f"frame {first}", timeout)
        if other := what.unknown(response):  # a new version has taken over
            what.check(await self._look(other), self.target)
        return what.read(response)

    async def _draw(self, rows, what: Drawing, size: int) -> AsyncGenerator:
        """Yields the rows' results in order, `max_in_flight` requests under way."""
        if size < 1:
            raise ValueError(f"batch_size: got {size}, expected at least 1")

        async def send(taken: Taken) -> Iterable:
            first = taken.index * size
            batch = [what.checked(row, first + place) for place, row in enumerate(taken.item)]
            return await self._draw_rows(what, batch, first, self._timeout)

        entries = in_order(batches(rows, size), send, self._max_in_flight)
        async with contextlib.aclosing(entries):
            async for _, answer in entries:
                for result in answer.result():
                    yield result
