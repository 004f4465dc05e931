"""The program run again after its inputs changed, on drawn people that the detector finds."""

import functools
import json
import os

import PIL.Image
import pytest

from tests.commands import run_here
from tests.faces import film, painted
from tf_talking.dataset.folder import DatasetFolder


@pytest.fixture
def preprocess(tmp_path):
    flags = ["--output", tmp_path / "data", "--image_size", 64, "--workers", 1]
    return functools.partial(run_here, "training.preprocess", *flags)


def test_both_of_two_days_are_kept_and_a_repaired_file_is_tried_again(preprocess, tmp_path):
    film(tmp_path / "monday/clips/v.mp4", painted(1))
    film(tmp_path / "tuesday/clips/v.mp4", painted(2))
    broken = tmp_path / "monday/clips/w.mp4"
    broken.write_bytes(bytes(1000))
    latin = tmp_path / "monday/clips" / os.fsdecode(b"J\xfcrgen.mp4")
    film(tmp_path / "j.mp4", painted(3))
    (tmp_path / "j.mp4").rename(latin)
    first = preprocess("--input", tmp_path / "monday/clips")
    assert first.returncode == 0 and "rejected clips/w.mp4: not a video" in first.stdout, first.stderr
    broken.unlink()
    film(broken, painted(4))
    second = preprocess("--input", tmp_path / "tuesday/clips")
    assert second.returncode == 0 and "3 inputs accepted" in second.stdout, second.stderr
    for day, done in (("monday", 2), ("tuesday", 1), ("monday", 3)):
        again = preprocess("--input", tmp_path / day / "clips")
        assert again.returncode == 0 and "4 inputs accepted" in again.stdout, again.stderr
        assert f"{done} of them done by earlier runs" in again.stdout
    data = DatasetFolder.open(tmp_path / "data")
    assert [entry.video_id for entry in data.accepted] == [
        "clips/J%FCrgen.mp4",
        "clips/v.mp4",
        "clips/v.mp4 (2)",
        "clips/w.mp4",
    ]
    frames = {data.read_video(entry.video_id).frames[0] for entry in data.accepted}
    assert len(frames) == 4


def test_more_photos_of_a_person_are_taken_and_rows_without_a_file_are_said(preprocess, tmp_path):
    """Into a folder whose manifest was written before inputs went by their bytes, too."""
    folder = tmp_path / "portraits"
    folder.mkdir()
    shown = painted(5)
    for k, picture in enumerate(shown[:11]):
        PIL.Image.fromarray(picture).save(folder / f"IMG_{k:04}.png")
    table = tmp_path / "people.csv"
    rows = "".join(f"IMG_{k:04}.png,{'ann' if k % 2 else 'bob'}\n" for k in range(13))
    table.write_text("file,identity\n" + rows)
    flags = ["--input", folder, "--identities", table]
    first = preprocess(*flags)
    assert first.returncode == 0, first.stderr
    for said in (first.stdout, first.stderr):
        assert "people.csv: 2 rows fit no input: IMG_0011.png, IMG_0012.png" in said
    counts = {e.video_id: e.num_frames for e in DatasetFolder.open(tmp_path / "data").accepted}
    assert counts == {"portraits/photos of ann": 5, "portraits/photos of bob": 6}

    PIL.Image.fromarray(shown[11]).save(folder / "IMG_0011.png")
    more = preprocess(*flags)
    assert "1 input changed since an earlier run and done again: portraits/photos of ann" in more.stdout
    counts = {e.video_id: e.num_frames for e in DatasetFolder.open(tmp_path / "data").accepted}
    assert counts == {"portraits/photos of ann": 6, "portraits/photos of bob": 6}

    manifest = tmp_path / "data" / "manifest.jsonl"
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for line in lines:
        del line["content"]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    old = preprocess(*flags)
    assert old.returncode == 0 and "2 of them done by earlier runs" in old.stdout
    assert "2 inputs done by earlier runs are taken as unchanged" in old.stdout
