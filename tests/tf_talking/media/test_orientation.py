import fractions

import numpy as np
import pytest

from tests.awkward_videos import at_25, set_display_matrix, write_video
from tests.tf_talking.media.pictures import HEIGHT, WIDTH, ramp
from tf_talking.media import video_reader
from tf_talking.media.orientation import square_size


@pytest.mark.parametrize(
    "matrix, shown",
    [
        ((1, 0, 0, 1), lambda picture: picture),
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),  # a phone held upright
        ((0, -1, 1, 0), lambda picture: np.rot90(picture, 1)),
        ((-1, 0, 0, 1), lambda picture: picture[:, ::-1]),  # a selfie
        ((1, 0, 0, -1), lambda picture: picture[::-1]),
        ((0, 1, 1, 0), lambda picture: picture.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda picture: np.rot90(picture, 2).swapaxes(0, 1)),
    ],
)
def test_pictures_are_turned_and_mirrored_as_the_matrix_says(tmp_path, matrix, shown):
    path = write_video(tmp_path / "x.mp4", at_25(3))
    set_display_matrix(path, *matrix)
    expected = shown(ramp(0))
    frame = next(video_reader.read_frames(path))
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < 4
    info = video_reader.probe(path)
    assert (info.height, info.width) == expected.shape[:2]


def test_pixels_become_square(tmp_path):
    aspect = fractions.Fraction(3, 2)
    wide = write_video(tmp_path / "wide.mp4", at_25(3), aspect=aspect)
    high = write_video(tmp_path / "high.mp4", at_25(3), aspect=1 / aspect)
    assert next(video_reader.read_frames(wide)).shape == (HEIGHT, WIDTH * 3 // 2, 3)
    frame = next(video_reader.read_frames(high))
    assert frame.shape == (HEIGHT * 3 // 2, WIDTH, 3)
    # The same picture: 2 red levels a pixel to the right, 3 green ones a pixel down before.
    assert np.abs(frame[60, :, 0].astype(int) - 2 * np.arange(WIDTH)).mean() < 4
    assert np.abs(frame[:, 40, 1].astype(int) - 2 * np.arange(HEIGHT * 3 // 2)).mean() < 4
    set_display_matrix(wide, 0, 1, -1, 0)  # the file's pixels are stretched, then turned
    assert next(video_reader.read_frames(wide)).shape == (WIDTH * 3 // 2, HEIGHT, 3)
    info = video_reader.probe(wide)
    assert (info.width, info.height) == (HEIGHT, WIDTH * 3 // 2)


def test_what_no_pixel_has_is_not_meant():
    assert square_size(100, 50, fractions.Fraction(64, 45)) == (142, 50)
    assert square_size(100, 50, fractions.Fraction(1000, 1)) == (100, 50)
    assert square_size(100, 50, fractions.Fraction(0)) == square_size(100, 50, None) == (100, 50)
