"""Live sources: a camera, and files that play at their own speed as if they were one.

Detection runs in a thread of its own, so that the event loop goes on showing and sending.
"""

import asyncio
import concurrent.futures
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator

import cv2

from tf_talking.media.jpeg import swap_red_and_blue
from tf_talking.media.video_reader import DEFAULT_FPS, TimedPicture

_LATE = 1 / DEFAULT_FPS  # seconds
_MAX_SKIPPED_IN_A_ROW = 25  # a file that can not even be read in time still shows something


class Playback:
    """Plays frames at their times: waits for each one's, passes over what is late.

    Attributes:
      skipped: frames passed over so far, before detection.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, sleep=time.sleep):
        self.skipped = 0
        self._clock, self._sleep = clock, sleep

    def __call__(self, frames: Iterator) -> Iterator:
        """Those of the frames (anything with `seconds`) that are in time."""
        start = self._clock()
        in_a_row = 0
        for frame in frames:
            wait = start + frame.seconds - self._clock()
            if wait < -_LATE and in_a_row < _MAX_SKIPPED_IN_A_ROW:
                self.skipped += 1
                in_a_row += 1
                continue
            in_a_row = 0
            if wait > 0:
                self._sleep(wait)
            yield frame


def camera_pictures(number: int) -> Iterator[TimedPicture]:
    """Pictures of a camera, as they come.

    Raises:
      ValueError: names the camera that can not be opened, or that stopped.
    """
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise ValueError(f"camera {number} can not be opened: is there one? A file can be the source")
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not one of a queue
        start = None
        for count in itertools.count():
            there, frame = camera.read()
            if not there:
                raise ValueError(f"camera {number} stopped giving frames")
            now = time.monotonic()
            start = now if start is None else start
            yield TimedPicture(count, now - start, swap_red_and_blue(frame))
    finally:
        camera.release()


async def in_thread(make: Callable[[], Iterator]) -> AsyncIterator:
    """The items of an iterator that is made, read and closed in one thread of its own.

    Closing waits for the item that is being made.
    """
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor(1, "live-source") as pool:
        iterator = await loop.run_in_executor(pool, make)
        end = object()
        try:
            while True:
                item = await loop.run_in_executor(pool, next, iterator, end)
                if item is end:
                    return
                yield item
        finally:
            if hasattr(iterator, "close"):
                pool.submit(iterator.close)  # after the item that is being made
