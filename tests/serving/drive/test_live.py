import asyncio
import contextlib
import threading

import pytest

from serving.drive.live import Playback, camera_frames, in_thread


class Clock:
    """Time that passes only when somebody sleeps or says so."""

    def __init__(self):
        self.now = 100.0
        self.slept = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.slept += seconds


def test_playback_waits_for_each_frames_time():
    clock = Clock()
    playback = Playback(clock, clock.sleep)
    times = [(frame, round(clock.now - 100, 3)) for frame in playback(iter("abcd"), 10.0)]
    assert times == [("a", 0.0), ("b", 0.1), ("c", 0.2), ("d", 0.3)]
    assert playback.skipped == 0


def test_playback_passes_over_what_is_late():
    clock = Clock()
    playback = Playback(clock, clock.sleep)
    shown = []
    for frame in playback(iter(range(20)), 10.0):
        shown.append(frame)
        clock.now += 0.45  # whoever takes them needs the time of four and a half
    assert shown[0] == 0 and all(3 <= b - a <= 5 for a, b in zip(shown, shown[1:], strict=False))
    assert playback.skipped >= 19 - shown[-1] and playback.skipped + len(shown) == 20


def test_a_source_is_made_read_and_closed_in_one_other_thread():
    threads = []

    def frames():
        try:
            while True:
                threads.append(threading.current_thread())
                yield len(threads)
        finally:
            threads.append(threading.current_thread())

    async def read():
        async with contextlib.aclosing(in_thread(frames)) as items:
            return [await anext(items), await anext(items)]

    assert asyncio.run(read()) == [1, 2]
    assert len(threads) == 3 and len(set(threads)) == 1
    assert threads[0] is not threading.main_thread()


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="camera 97.*can not be opened.*source"):
        next(camera_frames(97))
