"""The same videos on the local pool and on Beam's direct runner, and across both."""

import shutil
import sys

import numpy as np
import pytest

from tests.commands import run_here
from tests.faces import film, painted
from tf_talking import files
from tf_talking.dataset.folder import DatasetFolder

VIDEOS = {
    "id00012/21Uxsk56VDQ": [1, 2, None],
    "id00012/_raOc3-IRsw": [3],
    "id00017/7t6lfzvVaTM": [4, 5],
    "id00018/AAAAAAAAAAA": [None],
}


def flags(source, output, *more):
    return [
        *("--input", source, "--output", output, "--image_size", 64, "--max_frames", 12),
        *("--videos_per_shard", 1, *more),
    ]


def preprocess(*arguments):
    return run_here("training.preprocess", *flags(*arguments))


@pytest.fixture(scope="module")
def preprocess_apart(run_command):
    """In a process of its own: Beam's direct runner starts more, and logs as it likes."""
    return lambda *arguments: run_command("training.preprocess", *flags(*arguments))


@pytest.fixture(scope="module")
def voxceleb(tmp_path_factory):
    """VoxCeleb2's folders with clips of painted people; None is a file that is no video."""
    root = tmp_path_factory.mktemp("vox") / "mp4"
    for name, clips in VIDEOS.items():
        (root / name).mkdir(parents=True)
        for number, clip in enumerate(clips, 1):
            path = root / name / f"{number:05d}.mp4"
            if clip is None:
                path.write_text("not a video\n" * 50)
            else:
                film(path, painted(clip))
    return root


@pytest.fixture(scope="module")
def local(voxceleb):
    output = voxceleb.parent / "local"
    result = preprocess(voxceleb, output, "--workers", 2)
    assert result.returncode == 0, result.stderr
    return output, result


@pytest.fixture(scope="module")
def direct(voxceleb, preprocess_apart):
    output = voxceleb.parent / "direct"
    result = preprocess_apart(voxceleb, output, "--workers", 2, "--runner", "direct")
    assert result.returncode == 0, result.stderr
    return output, result


def content(folder) -> dict[str, tuple]:
    """Everything that the manifest says of each input, except where its record stands."""
    entries = DatasetFolder.open(folder).entries
    assert len(entries) == len({entry.video_id for entry in entries})
    return {
        entry.video_id: (
            entry.source,
            entry.identity,
            entry.status,
            entry.reason,
            entry.num_frames,
            entry.rejected_frames,
            entry.rejected_clips,
        )
        for entry in entries
    }


def assert_same_records(a, b) -> None:
    assert content(a) == content(b)
    first, second = DatasetFolder.open(a), DatasetFolder.open(b)
    assert first.info == second.info
    for entry in first.accepted:
        one, other = first.read_video(entry.video_id), second.read_video(entry.video_id)
        assert one.frames == other.frames
        np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_one_record_a_video_and_every_clip_accounted_for(local):
    output, result = local
    data = DatasetFolder.open(output)
    looked_at = {e.video_id: e.num_frames + sum(e.rejected_frames.values()) for e in data.accepted}
    assert {(e.video_id, e.identity, looked_at[e.video_id]) for e in data.accepted} == {
        ("id00012/21Uxsk56VDQ", "id00012", 12),
        ("id00012/_raOc3-IRsw", "id00012", 12),
        ("id00017/7t6lfzvVaTM", "id00017", 12),
    }
    clips = {entry.video_id: entry.rejected_clips for entry in data.entries}
    assert clips["id00012/21Uxsk56VDQ"].keys() == {"00003.mp4"}
    assert clips["id00018/AAAAAAAAAAA"]["00001.mp4"].startswith("not a video")
    assert "left out 1 clips of accepted videos: not a video" in result.stdout
    assert "frames/s on 2 processes; VoxCeleb2 (145,520 videos, at 12 frames" in result.stdout
    # Frames of both clips: the two people's backgrounds differ.
    record = data.read_video("id00012/21Uxsk56VDQ")
    assert len(record.frames[0]) != len(record.frames[6])


def test_direct_runner_makes_the_same_dataset(local, direct):
    assert_same_records(local[0], direct[0])
    output, result = direct
    assert "frames/s on 2 processes; VoxCeleb2" in result.stdout
    assert not list((output / "parts").iterdir())
    lines = [line for line in result.stderr.replace("\r", "\n").splitlines() if line.strip()]
    assert not [line for line in lines if not line.startswith("preprocess:")], result.stderr


def test_each_runner_goes_on_where_the_other_stopped(voxceleb, direct, local, preprocess_apart, tmp_path):
    # The input's folder is one for all runners: the manifest names it.
    output = tmp_path / "data"
    shutil.move(voxceleb / "id00017", tmp_path)
    try:
        assert preprocess(voxceleb, output, "--workers", 1).returncode == 0
    finally:
        shutil.move(tmp_path / "id00017", voxceleb)
    before = {path.name: path.read_bytes() for path in output.glob("*.tfrecord")}
    assert len(before) == 2
    # What a killed job left: a part that is whole, and half of another.
    (output / "parts").mkdir()
    half = files.temporary_beside(output / "parts" / "0.tfrecord")
    half.write_bytes(b"half")
    again = preprocess_apart(
        voxceleb,
        output,
        "--runner",
        "direct",
        "--workers",
        2,
        "--beam_options=--direct_running_mode=in_memory --direct_num_workers=1",
    )
    assert again.returncode == 0, again.stderr
    assert not half.exists()
    assert "3 of them done by earlier runs" in again.stdout
    for name, data in before.items():
        assert (output / name).read_bytes() == data
    assert_same_records(local[0], output)  # in content, not in name alone
    last = preprocess(voxceleb, output)
    assert last.returncode == 0 and "4 of them done by earlier runs" in last.stdout
    assert "Throughput" not in last.stdout


def test_failing_job_says_why(voxceleb, direct, preprocess_apart, tmp_path):
    result = preprocess_apart(
        voxceleb,
        tmp_path / "data",
        "--runner",
        "direct",
        "--workers",
        1,
        "--detector",
        "face_alignment",
        "--path_to_detector",
        tmp_path / "none.pth",
    )
    assert result.returncode == 2
    assert "preprocess: the Beam job failed" in result.stderr
    assert "there is no file" in result.stderr and "none.pth" in result.stderr


def test_without_beam_the_error_says_what_to_install(voxceleb, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "training.preprocessing.beam_runner", raising=False)
    result = preprocess(voxceleb, tmp_path / "data", "--runner", "flink")
    assert result.returncode == 2
    assert "pip install -r requirements.txt" in result.stderr
