"""Photos decoded and cropped in the graph, against preprocessing's crop; what is refused."""

import io
import resource
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tf_talking.landmarks.crop import crop_box, crop_frame
from tf_talking.procedural import render as procedural
from tf_talking.served import photo_crops
from tf_talking.served.photo_crops import crop_photo, decode_photo

decode = tf.function(decode_photo, input_signature=[tf.TensorSpec([], tf.string)])
crop = tf.function(
    lambda photo, landmarks: crop_photo(photo, landmarks, 64),
    input_signature=[tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([68, 2])],
)


@pytest.fixture(scope="module")
def person():
    return procedural.render_raw(procedural.Identity.sample(1), procedural.Pose(yaw=15), 240)


def encoded(photo, suffix):
    return cv2.imencode(suffix, photo[..., ::-1])[1].tobytes()


def png_header(width, height):
    """A PNG that says what size it has, and has a few bytes of pixels."""

    def chunk(kind, data=b""):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_png_and_jpeg(person):
    photo, _ = person
    np.testing.assert_array_equal(decode(encoded(photo, ".png")), photo)
    jpeg = decode(encoded(photo, ".jpg")).numpy().astype(int)
    assert np.abs(jpeg - photo).mean() < 4


def test_grey_png_becomes_rgb(person):
    grey = cv2.imencode(".png", person[0][..., 0])[1].tobytes()
    np.testing.assert_array_equal(decode(grey), np.repeat(person[0][..., :1], 3, axis=2))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither JPEG nor PNG"),
        (b"GIF89a" + bytes(50), "neither JPEG nor PNG"),
        (b"\x89PNG\r\n\x1a\n", "neither JPEG nor PNG"),
        (png_header(10_000, 10_000), "pixels"),
        (png_header(2**31 - 1, 2**31 - 1), "pixels"),
        (png_header(photo_crops.MAX_SIDE + 1, 1), "a side has more than"),
        (png_header(1, photo_crops.MAX_SIDE + 1), "a side has more than"),
        (png_header(0, 5), "pixels"),
        (png_header(100, 100), ""),  # not enough data
        (bytes(photo_crops.MAX_BYTES + 1), "bytes"),
    ],
    ids=["empty", "gif", "short", "100 megapixels", "huge", "wide", "tall", "nothing", "broken", "long"],
)
def test_refused(data, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode(data)


def test_large_jpeg_is_refused_by_its_header(person, monkeypatch):
    monkeypatch.setattr(photo_crops, "MAX_PIXELS", 1000)
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixels"):
        tf.function(decode_photo)(tf.constant(encoded(person[0], ".jpg")))


def progressive(photo) -> bytes:
    data = io.BytesIO()
    PIL.Image.fromarray(photo).save(data, "JPEG", progressive=True)
    return data.getvalue()


def test_progressive_jpegs_are_read_unless_they_have_endless_scans(person):
    whole = progressive(person[0])
    assert np.abs(decode(whole).numpy().astype(int) - person[0]).mean() < 6
    # The last scan, which refines what is there, again and again.
    last = whole[whole.rindex(b"\xff\xda") : whole.rindex(b"\xff\xd9")]
    endless = whole[:-2] + last * photo_crops.MAX_SCANS + b"\xff\xd9"
    with pytest.raises(tf.errors.InvalidArgumentError, match="scans"):
        decode(endless)


def test_truncated_jpeg_is_refused(person):
    data = encoded(person[0], ".jpg")
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(data[: len(data) // 2])


def test_crop_equals_preprocessing(person):
    photo, points = person
    image, moved = crop(photo, points.astype(np.float32))
    expected, expected_moved = crop_frame(photo, points, 64)
    assert np.abs(image.numpy().astype(int) - expected).max() <= 1  # area averages alike
    np.testing.assert_allclose(moved, expected_moved, atol=1e-3)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("length", [300, photo_crops.MAX_SIDE])
def test_landmarks_across_a_strip_cost_no_more_than_the_strip(length, transposed):
    """Of a picture of 16384² pixels, that the box would have, only the strip is there."""
    random = np.random.default_rng(4)
    strip = random.integers(0, 256, (9, length, 3)).astype(np.uint8)
    points = random.uniform(0, 1, (68, 2)) * [length, 8]
    points[:2] = [[0, 1], [length - 1, 7]]
    if transposed:
        strip, points = strip.swapaxes(0, 1), points[:, ::-1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    image, moved = crop(strip, points.astype(np.float32))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024  # KiB; the box alone would be 800 MB
    box = crop_box(points)
    if length == 300:
        expected, expected_moved = crop_frame(strip, points, 64)
        assert np.abs(image.numpy().astype(int) - expected).max() <= 1
        np.testing.assert_allclose(moved, expected_moved, atol=1e-3)
    # Far beyond the strip its edge goes on: averages of that line alone.
    line, start, found = strip[0], box.x0, image.numpy()[0]
    if transposed:
        line, start, found = strip[:, 0], box.y0, image.numpy()[:, 0]
    repeated = line[np.clip(np.arange(box.side) + start, 0, length - 1)]
    expected = cv2.resize(repeated[np.newaxis], (64, 1), interpolation=cv2.INTER_AREA)[0]
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("side", [60, 100])
def test_small_photos_are_enlarged_and_edges_repeated(side):
    photo, points = procedural.render_raw(procedural.Identity.sample(2), procedural.Pose(), side)
    photo, points = photo[side // 4 :], points - (0, side // 4)  # cut off at the forehead
    image, moved = crop(photo, points.astype(np.float32))
    expected, expected_moved = crop_frame(photo, points, 64)
    difference = np.abs(image.numpy().astype(int) - expected)
    assert difference.mean() < 2 and np.percentile(difference, 99) < 25
    np.testing.assert_allclose(moved, expected_moved, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda points: points * 0 + 5, "less than a pixel"),
        (lambda points: points + 500, "outside the photo"),
        (lambda points: points * 1e9, "outside the photo"),
    ],
)
def test_landmarks_that_are_not_the_photo_s(person, change, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        crop(person[0], change(person[1]).astype(np.float32))
