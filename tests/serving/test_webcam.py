"""The program from end to end."""

import concurrent.futures
import signal
import subprocess
import sys
import time

import numpy as np

from tests.serving.client_helpers import BACKGROUND, SIZE, column_of_point, make_card, track
from tf_talking.media.video_reader import read_frames


def test_program_from_track_to_video_and_its_end_by_a_signal(toy_server, repo_root, tmp_path):
    make_card().save(tmp_path / "people" / "Ada.npz")

    def program(*flags):
        command = [sys.executable, "-m", "serving.webcam", f"--server={toy_server.target}"]
        command += [f"--people={tmp_path / 'people'}", "--person=Ada", *flags]
        return subprocess.Popen(command, cwd=repo_root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

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
    frames = list(read_frames(output))
    assert len(frames) == 6
    assert abs(column_of_point(frames[0]) - (SIZE - 1 - 4)) <= 1  # mirrored
    assert np.abs(frames[5][50, 50].astype(int) - BACKGROUND).max() <= 8
    assert (running.returncode, errors) == (0, "") and "landmark sets dropped" in line
    assert len(list(read_frames(live))) > 1


def test_a_camera_beside_a_file_is_refused(repo_root, tmp_path):
    command = [sys.executable, "-m", "serving.webcam", "--person=x.npz", "--camera=0", "--source=a.mp4"]
    run = subprocess.run(command, cwd=repo_root, capture_output=True, text=True)
    assert run.returncode == 2 and "--camera and --source: got both" in run.stderr
