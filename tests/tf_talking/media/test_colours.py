import numpy as np
import pytest

from tests.awkward_videos import at_25, write_video
from tf_talking.media import video_reader

PATCHES = np.array(
    [[[200, 30, 40], [30, 190, 60], [40, 60, 210]], [[220, 200, 30], [128, 128, 128], [250, 250, 250]]], np.uint8
)


# Less of each colour: HDR written with 8 bits has few levels for dark ones.
SOFT = np.array(
    [[[190, 110, 100], [110, 170, 120], [100, 120, 180]], [[200, 190, 110], [128, 128, 128], [250, 250, 250]]]
)


def patches(_: int) -> np.ndarray:
    return np.repeat(np.repeat(PATCHES, 32, 0), 32, 1)


def seen(path) -> np.ndarray:
    return next(video_reader.read_frames(path))[16::32, 16::32].astype(int)


@pytest.mark.parametrize(
    "written",
    [
        {},  # what says nothing is BT.601
        {"matrix": 5, "said": {"colorspace": 6, "color_range": 1}},
        {"matrix": 1, "said": {"colorspace": 1, "color_range": 1}},
        {"matrix": 9, "said": {"colorspace": 9, "color_range": 1}},
        {"matrix": 5, "full_range": True, "said": {"color_range": 2}, "format": "yuv444p"},
        {"matrix": 1, "full_range": True, "said": {"colorspace": 1, "color_range": 2}, "format": "yuv444p"},
    ],
)
def test_the_matrix_and_the_range_of_the_file_are_taken(tmp_path, written):
    path = write_video(tmp_path / "x.mp4", at_25(2), patches, **written)
    assert np.abs(seen(path) - PATCHES).max() <= 3


def _hlg(linear: np.ndarray) -> np.ndarray:
    """BT.2100's OETF."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(linear <= 1 / 12, np.sqrt(3 * linear), a * np.log(np.maximum(12 * linear - b, 1e-9)) + c)


def _pq(light: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084, of cd/m²."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (light / 10000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def _displayed(colours: np.ndarray) -> np.ndarray:
    """BT.709 as shown -> cd/m² of BT.2020, white at 300."""
    to_bt709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
    return np.maximum((colours / 255.0) ** 2.4 @ np.linalg.inv(to_bt709).T, 0) * 300


@pytest.mark.parametrize("transfer, most", [(16, 14), (18, 8)])  # a step of PQ's 8 bits is large
def test_high_dynamic_range_gets_the_colours_of_bt709(tmp_path, transfer, most):
    light = _displayed(SOFT)
    if transfer == 16:
        signal = _pq(light)
    else:  # scene light: BT.2100's OOTF, undone
        y = (light @ [0.2627, 0.6780, 0.0593])[..., None] / 1000
        signal = _hlg(light / 1000 * y ** (1 / 1.2 - 1))
    picture = np.repeat(np.repeat(np.round(signal * 255).astype(np.uint8), 32, 0), 32, 1)
    said = {"colorspace": 9, "color_primaries": 9, "color_trc": transfer, "color_range": 1}
    path = write_video(tmp_path / "x.mp4", at_25(2), lambda _: picture, matrix=9, said=said)
    error = np.abs(seen(path) - SOFT)
    assert error.reshape(6, 3)[:5].max() <= most
    white = seen(path)[1, 2]
    assert 225 < white.min() < 250 and np.ptp(white) <= 4  # compressed, not clipped, and still white
