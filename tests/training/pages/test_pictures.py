"""Pictures inside of a page."""

import base64

import cv2
import numpy as np
import pytest

from training.pages.pictures import cell_uri, photo_uri


def read(uri):
    kind, _, data = uri.partition(";base64,")
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    return kind.removeprefix("data:"), picture[..., ::-1]


@pytest.mark.parametrize("width, expected", [(900, 200), (200, 200), (60, 60)])
def test_photo_is_no_larger_than_a_page_shows_it(width, expected):
    picture = np.full((width // 2, width, 3), (200, 100, 50), np.uint8)
    kind, shown = read(photo_uri(picture, 100))
    assert kind == "image/jpeg" and shown.shape == (expected // 2, expected, 3)
    assert np.abs(shown.astype(int) - (200, 100, 50)).max() <= 3


def test_small_cells_are_exact():
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    kind, shown = read(cell_uri(picture))
    assert kind == "image/png"
    np.testing.assert_array_equal(shown, picture)
    assert read(cell_uri(np.zeros((128, 128, 3), np.uint8)))[0] == "image/jpeg"
