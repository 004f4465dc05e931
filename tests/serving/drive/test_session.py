"""The session without a window."""

import asyncio
import threading
import time

import numpy as np
import pytest

from serving.client.asynchronous import AsyncTalkingHeadClient
from serving.drive import session as session_module
from serving.drive.frames import DrivingFrame
from serving.drive.session import Report, SessionOptions, compose, run_session
from serving.drive.sinks import Recorder
from tests.serving.client_helpers import (
    SIZE,
    ScriptedServer,
    column_of_point,
    jpeg_answer,
    make_card,
    signatures_of,
    track,
)
from tf_talking.media.video_writer import VideoWriter


def test_pictures_with_preview_and_as_in_a_mirror():
    frame = np.zeros((SIZE, SIZE, 3), np.uint8)
    frame[:, : SIZE // 2] = 200
    item = DrivingFrame(0.0, track(1)[0], np.full((32, 32, 3), 90, np.uint8))
    both = compose(item, frame, preview=True, mirror=True)
    assert both.shape == (SIZE, 2 * SIZE, 3)
    assert both[0, 0, 0] == 90 and both[0, SIZE, 0] == 0 and both[0, -1, 0] == 200
    alone = compose(DrivingFrame(0.0, track(1)[0]), frame, preview=True, mirror=False)
    np.testing.assert_array_equal(alone, frame)


def session(target, frames, sinks, stop_after=None, **options):
    """Runs a session of `frames`, an iterable of driving frames."""

    async def main():
        stop = asyncio.Event()
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, stop.set)
        async with AsyncTalkingHeadClient(target) as client:
            make = lambda: iter(frames)  # noqa: E731
            given = SessionOptions(**options)
            run = run_session(client, make_card(), make, sinks, stop, given)
            return await asyncio.wait_for(run, 30)

    return asyncio.run(main())


def test_a_file_is_drawn_frame_by_frame_each_beside_its_own(toy_server):
    frames = [
        DrivingFrame(index / 25, points, np.full((SIZE, SIZE, 3), 10 * index, np.uint8))
        for index, points in enumerate(track(8))
    ]
    shown = []
    report = session(
        toy_server.target, frames, [lambda picture, seconds: shown.append(picture)], live=False, preview=True
    )
    assert (report.frames, report.dropped) == (8, 0)
    assert "8 frames in" in str(report) and "0 landmark sets dropped" in str(report)
    for index, picture in enumerate(shown):
        left, right = np.split(picture, 2, axis=1)
        assert left[0, 0, 0] == 10 * index and column_of_point(right) == index + 4


def test_decoding_and_writing_do_not_hold_up_the_event_loop(toy_server, tmp_path, monkeypatch):
    """While a picture is decoded or encoded, which may take long, requests and keys go on."""
    pauses, threads = [], set()

    def slow(*_):
        threads.add(threading.current_thread())
        time.sleep(0.2)

    def slowly_composed(item, frame, preview, mirror):
        slow()
        return compose(item, frame, preview, mirror)

    monkeypatch.setattr(session_module, "compose", slowly_composed)
    monkeypatch.setattr(VideoWriter, "write", slow)

    async def main():
        async def beat():
            while True:
                began = time.monotonic()
                await asyncio.sleep(0.005)
                pauses.append(time.monotonic() - began)

        beating = asyncio.create_task(beat())
        with Recorder(tmp_path / "video.mp4", 25.0) as recorder:
            async with AsyncTalkingHeadClient(toy_server.target) as client:
                frames = [DrivingFrame(seconds=0.0, landmarks=points) for points in track(5)]
                options, stop = SessionOptions(live=False), asyncio.Event()
                report = await run_session(client, make_card(), lambda: iter(frames), [recorder.write], stop, options)
        beating.cancel()
        return report

    assert asyncio.run(main()).frames == 5
    assert threading.main_thread() not in threads and len(threads) >= 2
    assert np.percentile(pauses, 95) < 0.15  # ten times 0.2 s in two seconds otherwise


def test_a_live_session_drops_and_ends_when_told_to(toy_server):
    def endless():
        while True:
            time.sleep(0.001)
            yield DrivingFrame(0.0, track(1)[0])

    def answer(request, number, context):
        time.sleep(0.02)
        return jpeg_answer(request)

    slow, shown = ScriptedServer(signatures_of(toy_server), answer), []
    report = session(slow.target, endless(), [lambda picture, seconds: shown.append(picture)], live=True, max_frames=10)
    assert report.frames == len(shown) == 10 and report.dropped > 0
    report = session(
        slow.target, endless(), [lambda picture, seconds: shown.append(picture)], live=True, stop_after=0.5
    )
    assert report.frames > 0 and len(shown) == 10 + report.frames
    slow.server.stop(None)
    assert str(Report()) == "no frames"


def test_errors_of_the_source_end_the_session(toy_server):
    def broken():
        yield DrivingFrame(0.0, track(1)[0])
        raise ValueError("camera 0 stopped giving frames")

    with pytest.raises(ValueError, match="stopped giving frames"):
        session(toy_server.target, broken(), [], live=True)
