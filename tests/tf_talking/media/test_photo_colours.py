"""One picture in many kinds of pixels looks like itself in all of them."""

import struct

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest

from tf_talking.media.photos import read_photo


@pytest.fixture
def picture() -> np.ndarray:
    y, x = np.mgrid[0:64, 0:64]
    return np.stack([60 + x * 2, 80 + y * 2, 200 - x], -1).astype(np.uint8)


@pytest.fixture
def grey(picture) -> np.ndarray:
    return np.asarray(PIL.Image.fromarray(picture).convert("L"))


@pytest.mark.parametrize(
    "name, values",
    [
        ("p.png", lambda grey: grey.astype(np.uint16) * 257),
        ("p.tif", lambda grey: grey.astype(np.uint16) * 257),
        ("p.tif", lambda grey: grey.astype(np.int32) * 257),
        ("p.tif", lambda grey: grey.astype(np.int32)),
        ("p.tif", lambda grey: grey.astype(np.float32) / 255),
        ("p.tif", lambda grey: grey.astype(np.float32)),
    ],
)
def test_wide_grey_keeps_its_greys(tmp_path, grey, name, values):
    PIL.Image.fromarray(values(grey)).save(tmp_path / name)
    read = read_photo(tmp_path / name)
    assert np.abs(read.astype(int) - grey[..., None]).max() <= 1


@pytest.mark.parametrize("name", ["p.png", "p.webp"])
def test_what_is_transparent_is_white(tmp_path, picture, name):
    rgba = np.dstack([picture, np.full((64, 64), 255, np.uint8)])
    rgba[:20, :, 3] = 0
    rgba[20:40, :, 3] = 128
    PIL.Image.fromarray(rgba).save(tmp_path / name, lossless=True, exact=True)
    read = read_photo(tmp_path / name).astype(int)
    assert (read[:20] == 255).all()
    assert np.abs(read[20:40] - (picture[20:40].astype(int) * 128 + 255 * 127) / 255).max() <= 1
    np.testing.assert_array_equal(read[40:], picture[40:])


def test_a_transparent_colour_of_a_palette_is_white(tmp_path, grey):
    image = PIL.Image.fromarray(grey).convert("P")
    image.save(tmp_path / "p.png", transparency=int(np.asarray(image)[0, 0]))
    assert (read_photo(tmp_path / "p.png")[0, 0] == 255).all()


def wider(profile: PIL.ImageCms.ImageCmsProfile) -> bytes:
    """The profile with Display P3's colours in place of its own."""
    data = bytearray(profile.tobytes())
    columns = {b"rXYZ": (0.5151, 0.2412, -0.0011), b"gXYZ": (0.2920, 0.6922, 0.0419), b"bXYZ": (0.1571, 0.0666, 0.7841)}
    for k in range(struct.unpack(">I", data[128:132])[0]):
        name, offset, _ = struct.unpack(">4sII", data[132 + 12 * k : 144 + 12 * k])
        if name in columns:
            data[offset + 8 : offset + 20] = struct.pack(">3i", *(round(v * 65536) for v in columns[name]))
    return bytes(data)


def test_a_wide_colour_profile_is_used(tmp_path):
    """Display P3's (200, 100, 50) is sRGB's (215, 93, 31), worked out from both matrices."""
    srgb = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB"))
    picture = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    PIL.Image.fromarray(picture).save(tmp_path / "p3.png", icc_profile=wider(srgb))
    assert np.abs(read_photo(tmp_path / "p3.png").astype(int) - (215, 93, 31)).max() <= 1
    for name, profile in (("srgb.png", srgb.tobytes()), ("damaged.png", wider(srgb)[:200]), ("noise.png", b"noise")):
        PIL.Image.fromarray(picture).save(tmp_path / name, icc_profile=profile)
        np.testing.assert_array_equal(read_photo(tmp_path / name), picture)
