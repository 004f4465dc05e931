"""End to end on real clips and on everything that can be wrong with an input."""

import functools
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

from tf_talking.dataset.episodes import EpisodeDataset
from tf_talking.dataset.folder import DatasetFolder
from tf_talking.media import photos, video_reader, video_writer


@pytest.fixture(scope="module")
def preprocess(run_command):
    return functools.partial(run_command, "training.preprocess")


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
def done(inputs, preprocess):
    output = inputs.parent / "data"
    result = preprocess(
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
        "cut.mp4": "too few usable frames: 1 of ",
        "landscape.jpg": "no face",
        "couple.jpg": "several faces (2)",
        "small.jpg": "picture too small: 48x48 pixels",
    }
    assert reasons.keys() == expected.keys()
    for name, part in expected.items():
        assert part in reasons[name], name
        assert f"rejected in/bad/{name}: {reasons[name]}" in result.stdout
    assert len(set(reasons.values())) == 6
    assert "damaged data" in reasons["cut.mp4"]


def test_progress_is_readable(done):
    _, result = done
    assert "frames/s" in result.stderr
    lines = [line for line in result.stderr.replace("\r", "\n").splitlines() if line.strip()]
    assert not [line for line in lines if not line.startswith("preprocess:")]


def test_second_run_does_only_what_is_new(done, inputs, preprocess):
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


def test_killed_run_is_resumed(inputs, preprocess, repo_root, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    for k in range(6):
        shutil.copy(inputs / "c002.mp4", many / f"v{k}.mp4")
    output = tmp_path / "data"
    arguments = ["--input", many, "--output", output, "--image_size", 64, "--videos_per_shard", 1]
    arguments += ["--workers", 1, "--max_frames", 20]
    command = [sys.executable, "-m", "training.preprocess", *map(str, arguments)]
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = subprocess.Popen(command, cwd=repo_root, **quiet)
    end = time.monotonic() + 60
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


def test_nothing_accepted_and_wrong_flags_fail(inputs, preprocess, tmp_path):
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


def test_full_disk_ends_clearly_and_nothing_is_lost(inputs, preprocess, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for name, frames in (("a", "c001.mp4"), ("b", "c002.mp4")):
        shutil.copy(inputs / frames, source / f"{name}.mp4")
    arguments = ["--input", source, "--output", tmp_path / "data", "--image_size", 64]
    arguments += ["--videos_per_shard", 1, "--workers", 1, "--max_frames"]
    first = preprocess(*arguments, 12)  # 12 small frames fit
    assert first.returncode == 0
    kept = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    shutil.copy(inputs / "c001.mp4", source / "c.mp4")
    full = preprocess(*arguments, 78, preexec_fn=small_files_only)
    assert full.returncode == 2
    assert "videos-00002.tfrecord could not be written, is the disk full?" in full.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == kept
    again = preprocess(*arguments, 78)
    assert again.returncode == 0 and "2 of them done by earlier runs" in again.stdout
    assert DatasetFolder.open(tmp_path / "data").read_video("in/c.mp4").num_frames == 78


@pytest.fixture(scope="module")
def two_people(inputs, tmp_path_factory, shared_dir):
    """VoxCeleb1's folders; a clip with two people side by side, with boxes round the right one."""
    root = tmp_path_factory.mktemp("vox1")
    left, right = (
        list(video_reader.read_frames(shared_dir / "data" / "clips" / name))[:40] for name in ("c001.mp4", "c002.mp4")
    )
    for identity in ("id10001", "id10270"):
        folder = root / "vid" / identity / "1zcIwhmdeo4"
        folder.mkdir(parents=True)
        with video_writer.VideoWriter(folder / "00001.mp4") as writer:
            for a, b in zip(left, right, strict=True):
                writer.write(np.hstack([a, b]))
        boxes = root / "txt" / identity / "1zcIwhmdeo4"
        boxes.mkdir(parents=True)
        # Pixels at a height of 360: the right half of the frame.
        rows = [f"{500 + k:06d} \t400 \t40 \t280 \t280 " for k in range(12)]
        (boxes / "00001.txt").write_text("\n".join(["FRAME \tX \tY \tW \tH ", *rows]) + "\n")
    (root / "alone").mkdir()
    shutil.copy(shared_dir / "data" / "clips" / "c002.mp4", root / "alone")
    (root / "veri_test.txt").write_text("0 id10270/1zcIwhmdeo4/00001.wav id10300/AAAAAAAAAAA/00001.wav\n")
    return root


def test_boxes_choose_the_face_and_lists_the_people(two_people, preprocess, tmp_path):
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
    alone = DatasetFolder.open(tmp_path / "c").read_video("alone/c002.mp4").landmarks[:12]
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
def test_wrong_voxceleb_flags_are_named(preprocess, tmp_path, flags, message):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").touch()
    (tmp_path / "bad.txt").write_text("1 id10001/a/b.wav\nx y z\n")
    flags = [str(tmp_path / flag) if flag == "bad.txt" else flag for flag in flags]
    result = preprocess("--input", tmp_path / "clips", "--output", tmp_path / "data", *flags)
    assert result.returncode == 2 and message in result.stderr
