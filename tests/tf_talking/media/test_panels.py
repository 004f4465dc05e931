import cv2
import numpy as np

from tf_talking.media import panels


def plain(value: int, size: int = 4) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def test_scaled_down_by_areas_and_up_by_cubics():
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    areas = picture.reshape(4, 2, 4, 2, 3).mean((1, 3))
    assert np.abs(panels.scaled(picture, 4, 4) - areas).max() <= 0.5
    expected = cv2.resize(picture, (20, 16), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(panels.scaled(picture, 20, 16), expected)
    assert panels.scaled(picture, 8, 8) is picture


def test_pictures_beside_each_other_get_the_size_of_the_last_one():
    row = panels.beside([plain(10, 8), None, plain(20), plain(30)])
    assert row.shape == (4, 12, 3)
    assert [row[0, x, 0] for x in (0, 4, 8)] == [10, 20, 30]


def test_grid():
    sheet = panels.grid([[plain(1), plain(2)], [plain(3), plain(4)]])
    np.testing.assert_array_equal(sheet[::4, ::4, 0], [[1, 2], [3, 4]])
