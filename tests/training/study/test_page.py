"""The folder for participants: what it must not tell, and what it refuses."""

import os
import re

import cv2
import numpy as np
import PIL.Image
import pytest

from tests.training.study.study_helpers import make_study
from training.study.frames import Condition
from training.study.page import write_study
from training.study.score import read_key
from training.study.triplets import Triplet


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


def test_files_do_not_tell_which_is_real(study):
    page, _, key = study
    assert sorted(os.listdir(page)) == ["images", "index.html"]
    images = sorted((page / "images").iterdir())
    assert len(images) == 27
    tables = set()
    for path in images:
        assert re.fullmatch(r"[0-9a-f]{16}\.jpg", path.name)
        image = PIL.Image.open(path)
        assert (image.format, image.size, image.mode) == ("JPEG", (32, 32), "RGB")
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert not image.getexif()
        tables.add(str(image.quantization))
    assert len(tables) == 1  # one compression
    assert len({path.stat().st_mtime for path in images}) == 1
    text = (page / "index.html").read_text()
    for word in ("person 0", "person 1", "FT", "other", "generated", "frame_"):
        assert word not in text
    places = [list(t["sources"]).index(t["fake"]) for t in key["triplets"].values()]
    assert len(set(places)) > 1  # the order in the page's data does not tell either
    assert "Faces &amp; &lt;fakes&gt;" in text
    assert not re.search(r"https?://|//[a-z]", text)


def test_pictures_are_those_of_the_key(study):
    page, key_file, key = study
    assert read_key(key_file) == key
    for triplet in key["triplets"].values():
        for name, source in triplet["sources"].items():
            shown = cv2.imread(str(page / "images" / name)).astype(int)
            assert np.abs(shown - cv2.imread(source)).mean() < 4  # JPEG of noise
        assert "/generated/" in triplet["sources"][triplet["fake"]]


def test_larger_pictures_become_as_small_as_the_smallest(tmp_path):
    files = []
    for name, side in (("fake", 16), ("real", 64), ("real2", 32)):
        files.append(tmp_path / f"{name}.png")
        cv2.imwrite(str(files[-1]), np.full((side, side, 3), 100, np.uint8))
    triplet = Triplet("ann", Condition("FT", 1), (files[1], files[2]), files[0])
    key = write_study([triplet], tmp_path / "s", tmp_path / "k", "t", 0)
    assert key["size"] == 16
    sizes = {PIL.Image.open(path).size for path in (tmp_path / "s" / "images").iterdir()}
    assert sizes == {(16, 16)}
    with pytest.raises(ValueError, match=r"size 32: .*fake.png has 16x16 pixels.*at most 16"):
        write_study([triplet], tmp_path / "s2", tmp_path / "k2", "t", 0, size=32)
    cv2.imwrite(str(files[1]), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(ValueError, match=r"real.png: 20x10 pixels, expected a square"):
        write_study([triplet], tmp_path / "s2", tmp_path / "k2", "t", 0)
    files[1].write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"real.png: not an image"):
        write_study([triplet], tmp_path / "s2", tmp_path / "k2", "t", 0)
    assert not (tmp_path / "s2").exists() and not (tmp_path / "k2").exists()


def test_damaged_picture_leaves_nothing_behind(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file in files:
        cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    files[2].write_bytes(files[2].read_bytes()[:-3000])  # its header is whole
    triplet = Triplet("ann", Condition("FT", 1), (files[1], files[2]), files[0])
    with pytest.raises(ValueError, match="2.png: corrupt image"):
        write_study([triplet], tmp_path / "s", tmp_path / "k", "t", 0)
    assert sorted(os.listdir(tmp_path)) == ["0.png", "1.png", "2.png"]


def test_nothing_is_written_over_and_the_key_stays_outside(study, tmp_path):
    page, key, _ = study
    triplets = []  # it looks at the names first
    with pytest.raises(FileExistsError, match="page: exists already"):
        write_study(triplets, page, tmp_path / "k", "t", 0)
    with pytest.raises(FileExistsError, match="page.key.json: exists already"):
        write_study(triplets, tmp_path / "s", key, "t", 0)
    with pytest.raises(ValueError, match="must not lie in the folder of the participants"):
        write_study(triplets, tmp_path / "s", tmp_path / "s" / "key.json", "t", 0)
