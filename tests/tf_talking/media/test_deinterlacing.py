import numpy as np
import pytest

from tests.awkward_videos import at_25, write_video
from tf_talking.media import video_reader


def moving_bar(k: int) -> np.ndarray:
    """A bar that moves 16 pixels between the two half pictures of each frame."""
    fields = []
    for half in (2 * k, 2 * k + 1):
        field = np.zeros((64, 192, 3), np.uint8)
        field[:, 16 * half : 16 * half + 16] = 250
        fields.append(field)
    picture = fields[0]
    picture[1::2] = fields[1][1::2]
    return picture


def combs(frame: np.ndarray) -> float:
    """How much neighbouring lines differ more than every second one."""
    grey = frame[..., 1].astype(float)
    return np.abs(grey[1:-1] - grey[2:]).mean() - np.abs(grey[:-2] - grey[2:]).mean()


@pytest.mark.parametrize("interlaced", [True, False])
def test_only_what_says_so_is_deinterlaced(tmp_path, interlaced):
    options = {"x264-params": "tff=1"} if interlaced else {}
    path = write_video(tmp_path / "x.mp4", at_25(6), moving_bar, interlaced=interlaced, options=options)
    read = list(video_reader.read_pictures(path))
    assert [picture.seconds for picture in read] == pytest.approx(at_25(6))
    assert (combs(read[2].pixels) < 5) == interlaced
    if not interlaced:
        assert np.abs(read[2].pixels.astype(int) - moving_bar(2)).mean() < 3
