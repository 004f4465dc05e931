"""End to end on real clips and on everything that can be wrong with an input."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import PIL.Image
import pytest

from tf_talking.data import photos
from tf_talking.data.dataset_folder import DatasetFolder
from tf_talking.data.episodes import EpisodeDataset


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "training.preprocess", *map(str, arguments)]


def preprocess(repo_root, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run(command(*arguments), cwd=repo_root, capture_output=True, text=True)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, shared_dir):
    """Two clips, a folder of frames, photos of one person and of others, and bad files."""
    root = tmp_path_factory.mktemp("inputs") / "in"
    root.mkdir()
    clips, portraits = shared_dir / "data" / "clips", shared_dir / "data" / "photos"
    for name in ("c001.mp4", "c002.mp4"):
        shutil.copy(clips / name, root)

    first = photos.read_photo(portraits / "p001.jpg")
    second = photos.read_photo(portraits / "p002.jpg")
    (root / "frames").mkdir()
    for k in range(12):
        moved = np.roll(cv2.resize(first, (320, 320)), k, axis=1)
        PIL.Image.fromarray(moved).save(root / "frames" / f"frame{k}.jpg", quality=90)
    (root / "photos").mkdir()
    for name in ("p001.jpg", "p002.jpg", "p003.jpg"):
        shutil.copy(portraits / name, root / "photos")

    bad = root / "bad"
    bad.mkdir()
    (bad / "text.mp4").write_text("This is not a video.\n" * 20)
    (bad / "empty.mp4").touch()
    whole = (clips / "c003.mp4").read_bytes()
    (bad / "cut.mp4").write_bytes(whole[: len(whole) // 20])
    y, x = np.mgrid[0:300, 0:500]
    hills = 180 + 30 * np.sin(x / 40) + 10 * np.sin(x / 9)
    sky = np.stack([90 + y // 4, 140 + y // 4, 230 - y // 4], -1)
    land = np.stack([60 + 0 * x, 120 - y // 8, 50 + 0 * x], -1)
    landscape = np.where((y > hills)[..., None], land, sky).astype(np.uint8)
    PIL.Image.fromarray(landscape).save(bad / "landscape.jpg")
    couple = np.hstack([cv2.resize(picture, (300, 300)) for picture in (first, second)])
    PIL.Image.fromarray(couple).save(bad / "couple.jpg")
    PIL.Image.fromarray(cv2.resize(first, (48, 48))).save(bad / "small.jpg")
    (root / "readme.txt").write_text("not an input")

    rows = ["file,identity,note", "clips/c001.mp4,1,x", "clips/c002.mp4,2,y"]
    rows += ["photos/p001.jpg,7,", "photos/p002.jpg,7,", "photos/p003.jpg,8,"]
    (root.parent / "people.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def done(inputs, repo_root):
    output = inputs.parent / "data"
    result = preprocess(
        repo_root, "--input", inputs, "--output", output, "--image_size", 64, "--max_frames", 12,
        "--identities", inputs.parent / "people.csv", "--workers", 2, "--videos_per_shard", 3,
    )  # fmt: skip
    return output, result


def test_good_inputs_are_accepted(done):
    output, result = done
    assert result.returncode == 0, result.stderr
    data = DatasetFolder.open(output)
    assert (data.info.image_size, data.info.detector, data.info.num_points) == (64, "mediapipe", 68)
    assert {(e.video_id, e.identity, e.num_frames) for e in data.accepted} == {
        ("in/c001.mp4", "1", 12),
        ("in/c002.mp4", "2", 12),
        ("in/frames", "in/frames", 12),
        ("in/photos/photos of 7", "7", 2),
        ("in/photos/photos of 8", "8", 1),
    }
    record = data.read_video("in/c001.mp4")
    low, high = record.landmarks.min((0, 1)), record.landmarks.max((0, 1))
    assert (low > 10).all() and (high < 60).all() and (high - low).max() > 28
    batch = next(iter(EpisodeDataset(output, 8, 2, 0, skip_short=True).dataset()))
    assert batch["source_frames"].shape == (2, 8, 64, 64, 3)


def test_bad_inputs_have_their_own_reasons(done):
    output, result = done
    reasons = {
        entry.video_id.removeprefix("in/bad/"): entry.reason
        for entry in DatasetFolder.open(output).entries
        if entry.status == "rejected"
    }
    expected = {
        "text.mp4": "not a video",
        "empty.mp4": "empty file (0 bytes)",
        "cut.mp4": "corrupt",
        "landscape.jpg": "no face",
        "couple.jpg": "several faces (2)",
        "small.jpg": "picture too small: 48x48 pixels",
    }
    assert reasons.keys() == expected.keys()
    for name, part in expected.items():
        assert part in reasons[name], name
        assert f"rejected in/bad/{name}: {reasons[name]}" in result.stdout
    assert len(set(reasons.values())) == 6


def test_progress_is_readable(done):
    _, result = done
    assert "frames/s" in result.stderr
    lines = [line for line in result.stderr.replace("\r", "\n").splitlines() if line.strip()]
    assert not [line for line in lines if not line.startswith("preprocess:")]


def test_second_run_does_only_what_is_new(done, inputs, repo_root):
    output, _ = done
    before = {path.name: path.stat().st_mtime_ns for path in output.glob("*.tfrecord")}
    lines = (output / "manifest.jsonl").read_bytes()
    arguments = ["--output", output, "--image_size", 64, "--max_frames", 12]
    arguments += ["--identities", inputs.parent / "people.csv"]
    again = preprocess(repo_root, "--input", inputs, *arguments)
    assert again.returncode == 0 and "11 of them done by earlier runs" in again.stdout
    assert (output / "manifest.jsonl").read_bytes() == lines

    more = inputs.parent / "more"
    more.mkdir()
    shutil.copy(inputs / "c001.mp4", more / "new.mp4")
    assert preprocess(repo_root, "--input", f"{inputs},{more}", *arguments).returncode == 0
    assert (output / "manifest.jsonl").read_bytes().startswith(lines)
    new = DatasetFolder.open(output).accepted[-1]
    assert (new.video_id, new.num_frames) == ("more/new.mp4", 12)
    for name, changed in before.items():
        assert (output / name).stat().st_mtime_ns == changed

    mixed = preprocess(repo_root, "--input", inputs, "--output", output, "--image_size", 128)
    assert mixed.returncode != 0 and "image_size is 64, asked for is 128" in mixed.stderr


def test_killed_run_is_resumed(inputs, repo_root, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    for k in range(6):
        shutil.copy(inputs / "c002.mp4", many / f"v{k}.mp4")
    output = tmp_path / "data"
    arguments = ["--input", many, "--output", output, "--image_size", 64, "--videos_per_shard", 1]
    arguments += ["--workers", 1, "--max_frames", 20]
    process = subprocess.Popen(
        command(*arguments), cwd=repo_root, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    end = time.monotonic() + 60
    while len(list(output.glob("*.tfrecord"))) < 2 and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path.name: path.read_bytes() for path in output.glob("*.tfrecord")}
    assert 2 <= len(finished) < 6

    result = preprocess(repo_root, *arguments)
    assert result.returncode == 0
    data = DatasetFolder.open(output)
    assert sorted(entry.video_id for entry in data.accepted) == [f"many/v{k}.mp4" for k in range(6)]
    for name, content in finished.items():
        assert (output / name).read_bytes() == content
    frames = [data.read_video(entry.video_id).frames for entry in data.accepted]
    assert all(other == frames[0] for other in frames)
    assert f"{len(finished)} of them done by earlier runs" in result.stdout


def test_nothing_accepted_and_wrong_flags_fail(inputs, repo_root, tmp_path):
    nothing = preprocess(
        repo_root, "--input", inputs / "bad" / "text.mp4", "--output", tmp_path / "data"
    )
    assert nothing.returncode != 0 and "not one input was accepted" in nothing.stderr
    (line,) = (tmp_path / "data" / "manifest.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"].startswith("not a video")
    for flags, message in [
        (["--input", tmp_path / "none"], "there is no .*none"),
        (["--input", inputs, "--detector", "dlib"], "value should be one of"),
        (["--input", inputs, "--detector", "face_alignment", "--scheme", "ibug68_gaze"], "ibug68"),
    ]:
        result = preprocess(repo_root, *flags, "--output", tmp_path / "data2")
        assert result.returncode != 0
        assert re.search(message, result.stderr + result.stdout), message
