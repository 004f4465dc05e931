import pathlib

import numpy as np
import pytest

from tf_talking.extraction.clips import open_clips, without_name
from tf_talking.extraction.item import InputItem
from tf_talking.media.photos import write_png
from tf_talking.media.video_writer import VideoWriter


def grey(value: int) -> np.ndarray:
    return np.full((32, 48, 3), value, np.uint8)


def film(path: pathlib.Path, count: int) -> str:
    with VideoWriter(path) as writer:
        for k in range(count):
            writer.write(grey(10 * k))
    return str(path)


def test_images_are_one_clip_whose_unreadable_ones_are_reasons(tmp_path):
    files = [tmp_path / f"{k}.png" for k in range(5)]
    for k, file in enumerate(files):
        write_png(file, grey(k))
    files[2].write_text("no picture")
    files = tuple(map(str, files))
    opened = open_clips(InputItem("x", "ann", "frames", "x", files), step=2)
    assert list(opened) == [files[0]]
    first, second, third = opened[files[0]]()
    assert (first.frame[0, 0, 0], third.frame[0, 0, 0], first.box) == (0, 4, None)
    assert second.startswith("not an image, or a corrupt one")
    photos = open_clips(InputItem("x", "ann", "photos", "x", files), step=2)
    assert len(list(photos[files[0]]())) == 5


def test_each_clip_of_a_video_is_opened_on_its_own(tmp_path):
    files = (film(tmp_path / "b.mp4", 4), str(tmp_path / "none.mp4"), film(tmp_path / "a.mp4", 5))
    opened = open_clips(InputItem("x", "ann", "clips", "x", files), step=2)
    assert tuple(opened) == files
    values = [[round(read.frame.mean() / 10) for read in opened[files[n]]()] for n in (0, 2)]
    assert values == [[0, 2], [0, 2, 4]]
    with pytest.raises(ValueError, match="none.mp4: no such file") as caught:
        next(opened[files[1]]())
    assert without_name(caught.value, files[1]) == "no such file"
