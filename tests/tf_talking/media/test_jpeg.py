import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.media import jpeg


@pytest.fixture
def picture() -> np.ndarray:
    rows, columns = np.mgrid[0:64, 0:64]
    return np.stack([rows * 4, columns * 4, 255 - rows * 2 - columns * 2], -1).astype(np.uint8)


def test_jpeg_keeps_channel_order_and_agrees_with_tensorflow(picture):
    data = jpeg.encode(picture)
    ours, theirs = jpeg.decode(data), tf.io.decode_jpeg(data).numpy()
    assert np.abs(ours.astype(int) - picture).mean() < 3
    assert np.abs(theirs.astype(int) - picture).mean() < 3


def test_full_color_keeps_what_subsampling_blurs():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2, 0] = stripes[:, 1::2, 2] = 255
    full = jpeg.decode(jpeg.encode(stripes, full_color=True))
    halved = jpeg.decode(jpeg.encode(stripes))
    assert np.abs(full.astype(int) - stripes).mean() < 5
    assert np.abs(halved.astype(int) - stripes).mean() > 50


def test_png_comes_back_exactly(picture):
    np.testing.assert_array_equal(jpeg.decode(jpeg.encode_png(picture)), picture)


def test_frames_and_images_of_the_wrong_kind_are_refused():
    with pytest.raises(ValueError, match="float64"):
        jpeg.encode(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match=r"frame: got uint8 \(4, 4\), expected uint8 \[H, W, 3\]"):
        jpeg.encode_png(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="0 bytes"):
        jpeg.decode(b"")
    with pytest.raises(ValueError, match="can not decode"):
        jpeg.decode(b"text")


def test_import_loads_neither_opencv_nor_tensorflow(repo_root):
    code = "import sys, tf_talking.media.jpeg\nassert not {'cv2', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=repo_root, check=True)
