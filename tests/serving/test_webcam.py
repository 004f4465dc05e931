"""Live sources, the session without a window, the program from end to end."""

import asyncio
import concurrent.futures
import contextlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from serving.client.asynchronous import AsyncTalkingHeadClient
from serving.drive import driving
from serving.drive.driving import DrivingFrame
from serving.drive.live import Playback, camera_frames, in_thread
from serving.drive.session import Recorder, Report, Window, compose, run_session
from tests.serving.client_helpers import (
    BACKGROUND,
    SIZE,
    ScriptedServer,
    column_of_point,
    jpeg_answer,
    make_card,
    signatures_of,
    track,
)
from tf_talking.landmarks.detector import Detection
from tf_talking.media import video


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


def test_a_live_video_is_detected_frame_by_frame_and_starts_with_the_first_face(monkeypatch):
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    face = (np.stack([np.cos(angles), np.sin(angles)], 1) * 10 + (48, 32)).astype(np.float32)
    script = ["no face", face, "no face", face]

    class Scripted(contextlib.nullcontext):
        def detect(self, frames):
            assert len(frames) == 1
            found = script.pop(0)
            return [Detection(None, found) if isinstance(found, str) else Detection(found)]

        def __enter__(self):
            return self

    monkeypatch.setattr(driving, "get_detector", lambda *_, **__: Scripted())
    images = (np.full((64, 96, 3), 10 * index, np.uint8) for index in range(4))
    items = list(driving.detected_live(images, make_card()))
    assert [item.held_because for item in items] == [None, "no face", None]
    np.testing.assert_array_equal(items[1].landmarks, items[0].landmarks)


def test_no_camera_and_no_display_are_named(monkeypatch):
    with pytest.raises(ValueError, match="camera 97.*can not be opened.*--source"):
        next(camera_frames(97))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="no window can be opened here.*--output"):
        Window()


def test_pictures_with_preview_and_as_in_a_mirror():
    frame = np.zeros((SIZE, SIZE, 3), np.uint8)
    frame[:, : SIZE // 2] = 200
    item = DrivingFrame(track(1)[0], np.full((32, 32, 3), 90, np.uint8))
    both = compose(item, frame, preview=True, mirror=True)
    assert both.shape == (SIZE, 2 * SIZE, 3)
    assert both[0, 0, 0] == 90 and both[0, SIZE, 0] == 0 and both[0, -1, 0] == 200
    alone = compose(DrivingFrame(track(1)[0]), frame, preview=True, mirror=False)
    np.testing.assert_array_equal(alone, frame)


def session(target, frames, sinks, stop_after=None, **options):
    """Runs a session of `frames`, an iterable of driving frames."""

    async def main():
        stop = asyncio.Event()
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, stop.set)
        async with AsyncTalkingHeadClient(target) as client:
            make = lambda: iter(frames)  # noqa: E731
            run = run_session(client, make_card(), make, sinks, stop=stop, **options)
            return await asyncio.wait_for(run, 30)

    return asyncio.run(main())


def test_a_file_is_drawn_frame_by_frame_each_beside_its_own(toy_server):
    frames = [
        DrivingFrame(points, np.full((SIZE, SIZE, 3), 10 * index, np.uint8))
        for index, points in enumerate(track(8))
    ]
    shown = []
    report = session(toy_server.target, frames, [shown.append], live=False, preview=True)
    assert (report.frames, report.dropped) == (8, 0)
    assert "8 frames in" in str(report) and "0 landmark sets dropped" in str(report)
    for index, picture in enumerate(shown):
        left, right = np.split(picture, 2, axis=1)
        assert left[0, 0, 0] == 10 * index and column_of_point(right) == index + 4


def test_a_live_session_drops_and_ends_when_told_to(toy_server):
    def endless():
        while True:
            time.sleep(0.001)
            yield DrivingFrame(track(1)[0])

    def answer(request, number, context):
        time.sleep(0.02)
        return jpeg_answer(request)

    slow, shown = ScriptedServer(signatures_of(toy_server), answer), []
    report = session(slow.target, endless(), [shown.append], live=True, max_frames=10)
    assert report.frames == len(shown) == 10 and report.dropped > 0
    report = session(slow.target, endless(), [shown.append], live=True, stop_after=0.5)
    assert report.frames > 0 and len(shown) == 10 + report.frames
    slow.server.stop(None)
    assert str(Report()) == "no frames"


def test_errors_of_the_source_end_the_session(toy_server):
    def broken():
        yield DrivingFrame(track(1)[0])
        raise ValueError("camera 0 stopped giving frames")

    with pytest.raises(ValueError, match="stopped giving frames"):
        session(toy_server.target, broken(), [], live=True)


def test_a_live_recording_keeps_its_speed(tmp_path):
    picture = np.zeros((32, 32, 3), np.uint8)
    with Recorder(str(tmp_path / "live.mp4"), 50.0, live=True) as recorder:
        recorder.write(picture)
        time.sleep(0.2)
        recorder.write(picture)  # ten frames later
    assert len(list(video.read_frames(tmp_path / "live.mp4"))) >= 11
    with contextlib.suppress(KeyError), Recorder(str(tmp_path / "no.mp4"), 50.0, False) as lost:
        lost.write(picture)
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["live.mp4"]


def test_program_from_track_to_video_and_its_end_by_a_signal(toy_server, repo_root, tmp_path):
    make_card().save(tmp_path / "people" / "Ada.npz")

    def program(*flags):
        command = [sys.executable, "-m", "serving.webcam", f"--server={toy_server.target}"]
        command += [f"--people={tmp_path / 'people'}", "--person=Ada", *flags]
        return subprocess.Popen(
            command, cwd=repo_root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    np.save(tmp_path / "track.npy", track(40))
    np.savez(tmp_path / "long.npz", landmarks=np.concatenate([track(50)] * 200), fps=50.0)
    output, live = tmp_path / "out.mp4", tmp_path / "live.mp4"
    flags = (f"--source={tmp_path / 'track.npy'}", f"--output={output}", "--frames=6", "--mirror")
    running = program(f"--source={tmp_path / 'long.npz'}", f"--output={live}", "--live")
    ended = program(*flags)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        told = pool.submit(ended.communicate, timeout=120)
        until = time.monotonic() + 100
        while not list(tmp_path.glob(".live.*")) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        line, errors = running.communicate(timeout=120)
        out, stderr = told.result()
    assert (ended.returncode, stderr) == (0, "") and "6 frames in" in out
    frames = list(video.read_frames(output))
    assert len(frames) == 6
    assert abs(column_of_point(frames[0]) - (SIZE - 1 - 4)) <= 1  # mirrored
    assert np.abs(frames[5][50, 50].astype(int) - BACKGROUND).max() <= 8
    assert (running.returncode, errors) == (0, "") and "landmark sets dropped" in line
    assert len(list(video.read_frames(live))) > 1
