"""A person driven live, in one event loop: `serving.webcam` without its flags.

Source (a thread) → landmarks → stream → a window, a video, or both. The latency that is told is
from the landmarks to the frame; reading and detecting come before it.
"""

import asyncio
import contextlib
import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from serving.client.asynchronous import AsyncTalkingHeadClient
from serving.drive.driving import DrivingFrame
from serving.drive.live import in_thread
from tf_talking.media.video import VideoWriter
from tf_talking.people.card import PersonCard

_TITLE = "talking head (q or Esc ends)"
_QUIT_KEYS = (ord("q"), 27)


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


class Window:
    """Shows pictures and looks for keys. Raises ValueError where there is no display."""

    def __init__(self):
        # Without a display OpenCV's toolkit ends the whole process: it is tried in another one.
        probe = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"
        result = subprocess.run([sys.executable, "-c", probe], capture_output=True)
        if result.returncode:
            raise ValueError(
                "no window can be opened here (no display?): use --output FILE.mp4 instead"
            )
        cv2.namedWindow(_TITLE, cv2.WINDOW_AUTOSIZE)

    def show(self, picture: np.ndarray) -> None:
        """Shows RGB uint8 [H, W, 3]."""
        cv2.imshow(_TITLE, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    async def wait_for_quit(self) -> None:
        """Keeps the window alive; returns when a key ends the session or the window is closed."""
        while cv2.waitKey(1) & 0xFF not in _QUIT_KEYS:
            if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
                return
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()


class Recorder:
    """Writes pictures at a fixed speed; a live one is repeated until the next is there."""

    def __init__(self, path: str, fps: float, live: bool):
        self._path, self._fps, self._live = path, fps, live
        self._writer: VideoWriter | None = None
        self._start = 0.0

    def write(self, picture: np.ndarray) -> None:
        """Appends RGB uint8 [H, W, 3]; all of one size."""
        if self._writer is None:
            size = (picture.shape[1], picture.shape[0])
            self._writer = VideoWriter(self._path, self._fps, size)
            self._start = time.monotonic()
        due = round((time.monotonic() - self._start) * self._fps) + 1
        for _ in range(max(1, due - self._writer.num_frames) if self._live else 1):
            self._writer.write(picture)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *error) -> None:
        if self._writer is not None:
            self._writer.__exit__(*error)


def compose(item: DrivingFrame, frame: np.ndarray, preview: bool, mirror: bool) -> np.ndarray:
    """The picture that is shown: the frame, with the driving crop before it, as in a mirror."""
    panels = [frame]
    if preview and item.frame is not None:
        panels.insert(0, cv2.resize(item.frame, (frame.shape[1], frame.shape[0])))
    if mirror:
        panels = [panel[:, ::-1] for panel in panels]
    return np.ascontiguousarray(np.concatenate(panels, axis=1))


async def run_session(
    client: AsyncTalkingHeadClient,
    card: PersonCard,
    frames: Callable[[], Iterator[DrivingFrame]],
    sinks: list[Callable[[np.ndarray], None]],
    *,
    stop: asyncio.Event,
    live: bool,
    max_frames: int = 0,
    model: str | None = None,
    max_in_flight: int = 2,
    preview: bool = False,
    mirror: bool = False,
) -> Report:
    """Streams until the source ends, `max_frames` are shown, or `stop` is set.

    Args:
      frames: makes the driving frames; called, read and closed in another thread.
      sinks: get every picture, RGB uint8 [S, W, 3].
      live: drop what the server can not draw in time.

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

    async def show() -> None:
        stream = client.stream(landmarks(), card, model, max_in_flight=max_in_flight, keep_up=live)
        first = None  # when the first frame came: before it the detector is loaded
        async with contextlib.aclosing(stream):
            async for result in stream:
                for number in [number for number in waiting if number < result.index]:
                    del waiting[number]
                picture = compose(waiting.pop(result.index), result.frame, preview, mirror)
                for sink in sinks:
                    sink(picture)
                report.frames += 1
                first = first or time.monotonic()
                report.seconds = time.monotonic() - first
                report.latencies.append(result.latency)
                report.dropped = result.dropped
                if report.frames == max_frames:
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
