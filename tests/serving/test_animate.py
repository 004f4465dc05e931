"""The program from end to end."""

import concurrent.futures
import subprocess
import sys

import numpy as np

from tests.serving.client_helpers import SIZE, make_card, track
from tf_talking.media.video_reader import read_frames


def test_program_from_track_to_video(toy_server, repo_root, tmp_path):
    card = make_card().save(tmp_path / "Ada.npz")
    np.save(tmp_path / "track.npy", track(6))
    output, lost = tmp_path / "out.mp4", tmp_path / "lost.mp4"

    def run(*flags):
        command = [sys.executable, "-m", "serving.animate", f"--person={card}", *flags]
        command.append(f"--driving={tmp_path / 'track.npy'}")
        return subprocess.run(command, cwd=repo_root, capture_output=True, text=True)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        written = pool.submit(run, f"--output={output}", f"--server={toy_server.target}", "--side_by_side")
        photo = pool.submit(run, f"--output={lost}", "--source=photo.png")
        itself = pool.submit(run, f"--output={tmp_path / 'track.npy'}")
        failed = pool.submit(run, f"--output={lost}", "--server=localhost:1").result()
    done, refused, named = written.result(), photo.result(), itself.result()
    assert done.returncode == 0, done.stderr
    assert "6 frames at 25 frames/s, without sound" in done.stdout
    frames = list(read_frames(output))
    assert len(frames) == 6 and frames[0].shape == (SIZE, 2 * SIZE, 3)
    assert failed.returncode == 2 and "UNAVAILABLE" in failed.stderr
    assert "Traceback" not in failed.stderr and not lost.exists()
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "serving.animate: --source is shown by --side_by_side only" in refused.stderr
    assert named.returncode == 2 and "serving.animate: --output" in named.stderr and "track.npy" in named.stderr
