import asyncio
import contextlib
import threading

import pytest

from serving.drive.live import Playback, camera_pictures, in_thread
from tf_talking.media.video_reader import TimedPicture


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


def pictures(times):
    return (TimedPicture(number, seconds, None) for number, seconds in enumerate(times))


def test_playback_waits_for_each_frames_time():
    clock = Clock()
    playback = Playback(clock, clock.sleep)
    shown = [(picture.number, round(clock.now - 100, 3)) for picture in playback(pictures([0, 0.1, 0.25, 1.3]))]
    assert shown == [(0, 0.0), (1, 0.1), (2, 0.25), (3, 1.3)]
    assert playback.skipped == 0


def test_playback_passes_over_what_is_late():
    clock = Clock()
    playback = Playback(clock, clock.sleep)
    shown = []
    for picture in playback(pictures(k / 10 for k in range(20))):
        shown.append(picture.number)
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
        next(camera_pictures(97))
