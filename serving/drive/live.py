"""Live sources: a camera, and files that play at their own speed as if they were one.

Detection runs in a thread of its own, so that the event loop goes on showing and sending.
"""

import asyncio
import concurrent.futures
import time
from collections.abc import AsyncIterator, Callable, Iterator

import cv2
import numpy as np

from tf_talking.media.jpeg import swap_red_and_blue

_MAX_SKIPPED_IN_A_ROW = 25  # a file that can not even be read in time still shows something


class Playback:
    """Plays frames at their speed: waits for each one's time, passes over what is late.

    Attributes:
      skipped: frames passed over so far, before detection.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, sleep=time.sleep):
        self.skipped = 0
        self._clock, self._sleep = clock, sleep

    def __call__(self, frames: Iterator, fps: float) -> Iterator:
        """The frames that are in time, `fps` of them a second of the clock."""
        start = self._clock()
        in_a_row = 0
        for index, frame in enumerate(frames):
            wait = start + index / fps - self._clock()
            if wait < -1 / fps and in_a_row < _MAX_SKIPPED_IN_A_ROW:
                self.skipped += 1
                in_a_row += 1
                continue
            in_a_row = 0
            if wait > 0:
                self._sleep(wait)
            yield frame


def camera_frames(number: int) -> Iterator[np.ndarray]:
    """RGB uint8 [H, W, 3] of a camera, as they come.

    Raises:
      ValueError: names the camera that can not be opened, or that stopped.
    """
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise ValueError(f"camera {number} can not be opened: is there one? A file can be the source")
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not one of a queue
        while True:
            there, frame = camera.read()
            if not there:
                raise ValueError(f"camera {number} stopped giving frames")
            yield swap_red_and_blue(frame)
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
