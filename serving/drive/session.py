"""A person driven live, in one event loop: `serving.webcam` without its flags.

Source (a thread) -> landmarks -> stream -> a window, a video, or both (`sinks`). Frames are decoded
and videos written in other threads, so that requests and keys never wait for them. The latency that
is told is from the landmarks to the frame; reading and detecting come before it.
"""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Awaitable, Callable, Iterator

import numpy as np

from serving.client.asynchronous import AsyncTalkingHeadClient
from serving.client.frame_requests import choice_of
from serving.client.messages import ModelChoice
from serving.client.streaming import StreamFrame
from serving.drive.frames import DrivingFrame
from serving.drive.live import in_thread
from tf_talking.media.panels import beside
from tf_talking.people.card import PersonCard


@dataclasses.dataclass
class Report:
    """What happened, as one line. `seconds` are those from the first frame to the last."""

    frames: int = 0
    seconds: float = 0.0
    dropped: int = 0
    latencies: list[float] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        if not self.frames:
            return "no frames"
        p50, p95 = np.percentile(self.latencies, (50, 95)) * 1000
        fps = (self.frames - 1) / max(self.seconds, 1e-9)
        return (
            f"{self.frames} frames in {self.seconds:.1f} s: {fps:.1f} frames/s, "
            f"latency p50 {p50:.0f} ms, p95 {p95:.0f} ms, {self.dropped} landmark sets dropped"
        )


@dataclasses.dataclass(frozen=True)
class SessionOptions:
    """How a session runs.

    Attributes:
      live: drop what the server can not draw in time.
      max_frames: end after so many; 0: not.
      choice: model and version that draw; None: the newest version of the card's model.
      max_in_flight: requests under way at a time.
      preview: show the driving frame beside the result.
      mirror: show everything as in a mirror.
    """

    live: bool
    max_frames: int = 0
    choice: ModelChoice | None = None
    max_in_flight: int = 2
    preview: bool = False
    mirror: bool = False


def compose(item: DrivingFrame, frame: np.ndarray, preview: bool, mirror: bool) -> np.ndarray:
    """The picture that is shown: the frame, with the driving crop before it, as in a mirror."""
    step = -1 if mirror else 1
    shown = [item.frame if preview else None, frame]
    return beside([panel if panel is None else panel[:, ::step] for panel in shown])


async def run_session(
    client: AsyncTalkingHeadClient,
    card: PersonCard,
    frames: Callable[[], Iterator[DrivingFrame]],
    sinks: list[Callable[[np.ndarray, float], Awaitable[None] | None]],
    stop: asyncio.Event,
    options: SessionOptions,
) -> Report:
    """Streams until the source ends, `max_frames` are shown, or `stop` is set.

    Args:
      frames: makes the driving frames; called, read and closed in another thread.
      sinks: get every picture, RGB uint8 [S, W, 3], and when the source shows it, in seconds; what
        takes long gives something to await.

    Raises:
      TalkingHeadError, ValueError: what the stream and the source raise.
    """
    report = Report()
    waiting: dict[int, DrivingFrame] = {}  # by number, until their frame is there

    async def landmarks():
        async with contextlib.aclosing(in_thread(frames)) as items:
            number = 0
            async for item in items:
                waiting[number] = item
                number += 1
                yield item.landmarks

    def decoded_and_composed(item: DrivingFrame, result: StreamFrame) -> np.ndarray:
        return compose(item, result.frame, options.preview, options.mirror)

    async def show() -> None:
        choice = options.choice or choice_of(card)
        stream = client.stream(
            landmarks(),
            card,
            choice.model,
            max_in_flight=options.max_in_flight,
            keep_up=options.live,
            version=choice.version,
            label=choice.label,
        )
        first = None  # when the first frame came: before it the detector is loaded
        async with contextlib.aclosing(stream):
            async for result in stream:
                for number in [number for number in waiting if number < result.index]:
                    del waiting[number]
                item = waiting.pop(result.index)
                picture = await asyncio.to_thread(decoded_and_composed, item, result)
                for sink in sinks:
                    written = sink(picture, item.seconds)
                    if written is not None:
                        await written
                report.frames += 1
                first = first or time.monotonic()
                report.seconds = time.monotonic() - first
                report.latencies.append(result.latency)
                report.dropped = result.dropped
                if report.frames == options.max_frames:
                    return

    showing, stopping = asyncio.create_task(show()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((showing, stopping), return_when=asyncio.FIRST_COMPLETED)
        if showing.done():
            await showing  # raises its error
    finally:
        for task in (showing, stopping):
            task.cancel()
        await asyncio.gather(showing, stopping, return_exceptions=True)
    return report
