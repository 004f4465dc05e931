import numpy as np
import PIL.Image
import pytest

from tf_talking.media import animated, photos, video_reader


def write(path, count: int, **options):
    pictures = [PIL.Image.new("RGB", (32, 24), (40 * k, 0, 0)) for k in range(count)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


@pytest.mark.parametrize("name", ["x.webp", "x.png"])
def test_every_picture_is_read_with_its_time(tmp_path, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    path = write(tmp_path / name, 4, duration=[80, 40, 200, 80], **options)
    assert animated.num_pictures(path) == 4
    read = list(video_reader.read_pictures(path))
    assert [picture.seconds for picture in read] == pytest.approx([0, 0.08, 0.12, 0.32])
    assert [picture.pixels[0, 0, 0] for picture in read] == [0, 40, 80, 120]
    info = video_reader.probe(path)
    assert info == video_reader.VideoInfo(32, 24, 12.5, 4, False)


def test_a_photo_is_one_picture(tmp_path):
    photos.write_png(tmp_path / "x.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "bad.webp").write_bytes(b"no picture")
    assert animated.num_pictures(tmp_path / "x.png") == animated.num_pictures(tmp_path / "bad.webp") == 1
    assert len(list(video_reader.read_pictures(tmp_path / "x.png"))) == 1
    with pytest.raises(ValueError, match="bad.webp: not an image"):
        list(video_reader.read_pictures(tmp_path / "bad.webp"))
