import numpy as np
import PIL.Image
import pytest

from tf_talking.media import photos


@pytest.fixture
def picture() -> np.ndarray:
    y, x = np.mgrid[0:20, 0:30]
    return np.stack([x * 8, y * 12, x + y], -1).astype(np.uint8)


@pytest.mark.parametrize("orientation, turns", [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_exif_orientation_is_applied(tmp_path, picture, orientation, turns):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(picture).save(tmp_path / "p.png", exif=exif)
    expected = np.rot90(picture, turns)
    np.testing.assert_array_equal(photos.read_photo(tmp_path / "p.png"), expected)
    assert photos.photo_size(tmp_path / "p.png") == (expected.shape[1], expected.shape[0])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_colour_mode_becomes_rgb(tmp_path, picture, mode):
    name = "p.tiff" if mode == "CMYK" else "p.png"
    PIL.Image.fromarray(picture).convert(mode).save(tmp_path / name)
    image = photos.read_photo(tmp_path / name)
    assert image.shape == picture.shape and image.dtype == np.uint8


def test_bad_photos_are_named(tmp_path, picture):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    PIL.Image.fromarray(np.tile(picture, (20, 20, 1))).save(tmp_path / "cut.jpg")
    data = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    for name, message in [
        ("text.jpg", "not an image"),
        ("empty.jpg", "empty file"),
        ("cut.jpg", "corrupt image"),
        ("none.jpg", "no such file"),
    ]:
        with pytest.raises(ValueError, match=f"{name}: .*{message}"):
            photos.read_photo(tmp_path / name)


def test_decompression_bomb_is_refused_before_decoding(tmp_path):
    # 20,000 x 20,000 black pixels: 50 kB on disk.
    for name, side in (("bomb.png", 20000), ("large.png", 12000), ("bomb.jpg", 20000)):
        PIL.Image.new("L" if name.endswith("jpg") else "1", (side, side)).save(tmp_path / name)
        with pytest.raises(ValueError, match=f"{name}: {side}x{side} pixels, more than"):
            photos.read_photo(tmp_path / name)


def test_a_photo_of_200_megapixels_is_read_at_half_size(tmp_path, picture, monkeypatch):
    large = PIL.Image.fromarray(picture).resize((3000, 2000))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    large.save(tmp_path / "p.jpg", quality=95, exif=exif)
    whole = photos.read_photo(tmp_path / "p.jpg")
    assert whole.shape == (3000, 2000, 3)
    monkeypatch.setattr(photos, "MAX_PIXELS", 3000 * 2000 - 1)
    half = photos.read_photo(tmp_path / "p.jpg")
    assert half.shape == (1500, 1000, 3) and photos.photo_size(tmp_path / "p.jpg") == (1000, 1500)
    assert np.abs(half.astype(int) - whole[::2, ::2]).mean() < 2
    monkeypatch.setattr(photos, "MAX_JPEG_PIXELS", 3000 * 2000 - 1)
    with pytest.raises(ValueError, match="p.jpg: 3000x2000 pixels, more than"):
        photos.read_photo(tmp_path / "p.jpg")


def test_heic_that_can_not_be_read_is_named_as_such(tmp_path, picture):
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(ValueError, match="IMG_1.HEIC: not an image.*HEIC can not be read, save it as JPEG"):
        photos.read_photo(tmp_path / "IMG_1.HEIC")
    PIL.Image.fromarray(picture).save(tmp_path / "p.avif")
    assert photos.read_photo(tmp_path / "p.avif").shape == picture.shape
    assert len(photos.frame_files(tmp_path)) == 2


def test_images_of_a_folder_in_natural_order(tmp_path, picture):
    for name in ("f10.png", "f9.PNG", ".hidden.png", "notes.txt"):
        PIL.Image.fromarray(picture).save(tmp_path / name, format="png")
    assert [path.name for path in photos.frame_files(tmp_path)] == ["f9.PNG", "f10.png"]


def test_size_of_a_truncated_png_names_the_file(tmp_path):
    path = tmp_path / "cut.png"
    photos.write_png(path, np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="cut.png"):
        photos.photo_size(path)
