"""End to end on people, painted and real, and on everything that can be wrong with an input."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import PIL.Image
import pytest

from tests.awkward_videos import break_off
from tests.commands import run_here
from tests.faces import film, painted, portrait
from tf_talking.dataset.episodes import EpisodeDataset
from tf_talking.dataset.folder import DatasetFolder


def preprocess(*arguments):
    return run_here("training.preprocess", *arguments)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Two clips, a folder of frames, photos of one person and of others, and bad files."""
    root = tmp_path_factory.mktemp("inputs") / "in"
    root.mkdir()
    for person, name in ((1, "c001.mp4"), (2, "c002.mp4")):
        film(root / name, painted(person))

    (root / "frames").mkdir()
    for k in range(12):
        moved = np.roll(portrait(), k, axis=1)
        PIL.Image.fromarray(moved).save(root / "frames" / f"frame{k}.jpg", quality=90)
    first, second = portrait(300), painted(2, 1, 300)[0]
    (root / "photos").mkdir()
    for name, picture in (("p001.jpg", first), ("p002.jpg", first[:, ::-1]), ("p003.jpg", second)):
        PIL.Image.fromarray(picture).save(root / "photos" / name)

    bad = root / "bad"
    bad.mkdir()
    (bad / "text.mp4").write_text("This is not a video.\n" * 20)
    (bad / "empty.mp4").touch()
    break_off(film(bad / "cut.mp4", painted(3)), 0.5)
    y, x = np.mgrid[0:300, 0:500]
    hills = 180 + 30 * np.sin(x / 40) + 10 * np.sin(x / 9)
    sky = np.stack([90 + y // 4, 140 + y // 4, 230 - y // 4], -1)
    land = np.stack([60 + 0 * x, 120 - y // 8, 50 + 0 * x], -1)
    landscape = np.where((y > hills)[..., None], land, sky).astype(np.uint8)
    PIL.Image.fromarray(landscape).save(bad / "landscape.jpg")
    PIL.Image.fromarray(np.hstack([first, second])).save(bad / "couple.jpg")
    PIL.Image.fromarray(cv2.resize(first, (48, 48))).save(bad / "small.jpg")
    (root / "readme.txt").write_text("not an input")

    rows = ["file,identity,note", "clips/c001.mp4,1,x", "clips/c002.mp4,2,y"]
    rows += ["photos/p001.jpg,7,", "photos/p002.jpg,7,", "photos/p003.jpg,8,"]
    (root.parent / "people.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def done(inputs, run_command):
    """The output folder and the finished process."""
    output = inputs.parent / "data"
    result = run_command(
        "training.preprocess",
        "--input",
        inputs,
        "--output",
        output,
        "--image_size",
        64,
        "--max_frames",
        12,
        "--identities",
        inputs.parent / "people.csv",
        "--workers",
        2,
        "--videos_per_shard",
        3,
    )
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
        "cut.mp4": "too few usable frames: ",
        "landscape.jpg": "no face",
        "couple.jpg": "several faces (2)",
        "small.jpg": "picture too small: 48x48 pixels",
    }
    assert reasons.keys() == expected.keys()
    for name, part in expected.items():
        assert part in reasons[name], name
        assert f"rejected in/bad/{name}: {reasons[name]}" in result.stdout
    assert len(set(reasons.values())) == 6
    assert "broke off after 2 frames" in reasons["cut.mp4"]


def test_progress_is_readable(done):
    _, result = done
    assert "frames/s" in result.stderr
    lines = [line for line in result.stderr.replace("\r", "\n").splitlines() if line.strip()]
    assert not [line for line in lines if not line.startswith("preprocess:")]


def test_second_run_does_only_what_is_new(done, inputs):
    output, _ = done
    before = {path.name: path.stat().st_mtime_ns for path in output.glob("videos-*.tfrecord")}
    lines = (output / "manifest.jsonl").read_bytes()
    arguments = ["--output", output, "--image_size", 64, "--max_frames", 12]
    arguments += ["--identities", inputs.parent / "people.csv"]
    again = preprocess("--input", inputs, *arguments)
    assert again.returncode == 0 and "11 of them done by earlier runs" in again.stdout
    assert (output / "manifest.jsonl").read_bytes() == lines

    more = inputs.parent / "more"
    more.mkdir()
    shutil.copy(inputs / "c001.mp4", more / "new.mp4")
    assert preprocess("--input", f"{inputs},{more}", *arguments).returncode == 0
    assert (output / "manifest.jsonl").read_bytes().startswith(lines)
    new = DatasetFolder.open(output).accepted[-1]
    assert (new.video_id, new.num_frames) == ("more/new.mp4", 12)
    for name, changed in before.items():
        assert (output / name).stat().st_mtime_ns == changed

    mixed = preprocess("--input", inputs, "--output", output, "--image_size", 128)
    assert mixed.returncode != 0 and "image_size is 64, asked for is 128" in mixed.stderr


def test_killed_run_is_resumed(repo_root, tmp_path):
    many = tmp_path / "many"
    first = film(many / "v0.mp4", painted(2) + painted(2)[::-1])
    for k in range(1, 6):
        shutil.copy(first, many / f"v{k}.mp4")
    output = tmp_path / "data"
    arguments = ["--input", many, "--output", output, "--image_size", 64, "--videos_per_shard", 1]
    arguments += ["--workers", 1, "--max_frames", 24]
    command = [sys.executable, "-m", "training.preprocess", *map(str, arguments)]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = subprocess.Popen(command, cwd=repo_root, **quiet)
    end = time.monotonic() + 300
    while len(list(output.glob("videos-*.tfrecord"))) < 2 and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path.name: path.read_bytes() for path in output.glob("videos-*.tfrecord")}
    assert 2 <= len(finished) < 6

    result = preprocess(*arguments)
    assert result.returncode == 0
    data = DatasetFolder.open(output)
    assert sorted(entry.video_id for entry in data.accepted) == [f"many/v{k}.mp4" for k in range(6)]
    for name, content in finished.items():
        assert (output / name).read_bytes() == content
    frames = [data.read_video(entry.video_id).frames for entry in data.accepted]
    assert all(other == frames[0] for other in frames)
    assert f"{len(finished)} of them done by earlier runs" in result.stdout


def test_nothing_accepted_and_wrong_flags_fail(inputs, tmp_path):
    nothing = preprocess("--input", inputs / "bad" / "text.mp4", "--output", tmp_path / "data")
    assert nothing.returncode != 0 and "not one input was accepted" in nothing.stderr
    (line,) = (tmp_path / "data" / "manifest.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"].startswith("not a video")
    for flags, message in [
        (["--input", tmp_path / "none"], "there is no .*none"),
        (["--input", inputs, "--detector", "dlib"], "value should be one of"),
        (["--input", inputs, "--detector", "face_alignment", "--scheme", "ibug68_gaze"], "ibug68"),
    ]:
        result = preprocess(*flags, "--output", tmp_path / "data2")
        assert result.returncode != 0
        assert re.search(message, result.stderr + result.stdout), message


def small_files_only() -> None:
    """In the child: files can not grow beyond 100 kB, as if the disk were full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_full_disk_ends_clearly_and_nothing_is_lost(inputs, run_command, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name, frames in (("a", "c001.mp4"), ("b", "c002.mp4")):
        shutil.copy(inputs / frames, source / f"{name}.mp4")
    arguments = ["--input", source, "--output", tmp_path / "data", "--image_size", 64]
    arguments += ["--videos_per_shard", 1, "--workers", 1, "--max_frames"]
    first = preprocess(*arguments, 12)  # 12 small frames fit
    assert first.returncode == 0
    kept = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    film(source / "c.mp4", (painted(1) + painted(1)[::-1]) * 3)
    full = run_command("training.preprocess", *arguments, 72, preexec_fn=small_files_only)
    assert full.returncode == 2
    assert "videos-00002.tfrecord could not be written, is the disk full?" in full.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == kept
    again = preprocess(*arguments, 72)
    assert again.returncode == 0 and "2 of them done by earlier runs" in again.stdout
    assert DatasetFolder.open(tmp_path / "data").read_video("in/c.mp4").num_frames == 72


@pytest.fixture(scope="module")
def two_people(inputs, tmp_path_factory):
    """VoxCeleb1's folders; a clip with two people side by side, with boxes round the right one."""
    root = tmp_path_factory.mktemp("vox1")
    couple = [np.hstack(pair) for pair in zip(painted(1), painted(2), strict=True)]
    for identity in ("id10001", "id10270"):
        film(root / "vid" / identity / "1zcIwhmdeo4" / "00001.mp4", couple)
        boxes = root / "txt" / identity / "1zcIwhmdeo4"
        boxes.mkdir(parents=True)
        # Pixels at a height of 360: the right half of the frame.
        rows = [f"{500 + k:06d} \t400 \t40 \t280 \t280 " for k in range(12)]
        (boxes / "00001.txt").write_text("\n".join(["FRAME \tX \tY \tW \tH ", *rows]) + "\n")
    (root / "alone").mkdir()
    shutil.copy(inputs / "c002.mp4", root / "alone")
    (root / "veri_test.txt").write_text("0 id10270/1zcIwhmdeo4/00001.wav id10300/AAAAAAAAAAA/00001.wav\n")
    return root


def test_boxes_choose_the_face_and_lists_the_people(two_people, tmp_path):
    common = ["--input", two_people / "vid", "--image_size", 64, "--output"]
    split = ["--split_list", two_people / "veri_test.txt"]
    without = preprocess(*common, tmp_path / "a", *split)
    assert without.returncode == 2 and "several faces (2)" in without.stdout
    (entry,) = DatasetFolder.open(tmp_path / "a").entries
    assert entry.identity == "id10001"

    boxes = ["--boxes", two_people / "txt", *split, "--split", "test"]
    result = preprocess(*common, tmp_path / "b", *boxes)
    assert result.returncode == 0, result.stderr
    data = DatasetFolder.open(tmp_path / "b")
    assert [(e.video_id, e.num_frames) for e in data.accepted] == [("id10270/1zcIwhmdeo4", 12)]
    # The same person alone gives the same crop.
    reference = preprocess("--input", two_people / "alone", "--image_size", 64, "--output", tmp_path / "c")
    assert reference.returncode == 0
    alone = DatasetFolder.open(tmp_path / "c").read_video("alone/c002.mp4").landmarks
    chosen = data.read_video("id10270/1zcIwhmdeo4").landmarks
    assert np.abs(chosen - alone).max(axis=(1, 2)).mean() < 2


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--split", "test"], "--split needs a --split_list"),
        (["--boxes", "nowhere"], "--boxes: there is no folder nowhere"),
        (["--split_list", "bad.txt"], "bad.txt, line 2: got 'x y z'"),
        (["--layout", "voxceleb"], "clips/a.mp4: expected <identity>/<video>/<clip>"),
    ],
)
def test_wrong_voxceleb_flags_are_named(tmp_path, flags, message):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").touch()
    (tmp_path / "bad.txt").write_text("1 id10001/a/b.wav\nx y z\n")
    flags = [str(tmp_path / flag) if flag == "bad.txt" else flag for flag in flags]
    result = preprocess("--input", tmp_path / "clips", "--output", tmp_path / "data", *flags)
    assert result.returncode == 2 and message in result.stderr
