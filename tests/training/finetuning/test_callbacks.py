"""The callbacks that show in somebody else's `fit`."""

import cv2
import numpy as np

from training.finetuning.callbacks import PreviewPictures


def test_previews_before_training_every_n_and_at_the_end(tmp_path, dense, fit):
    def draw(model):
        assert model is dense
        return np.full((4, 6, 3), (255, 0, 10), np.uint8)

    fit(dense, 5, PreviewPictures(tmp_path / "previews", draw, every=2))
    names = sorted(p.name for p in (tmp_path / "previews").iterdir())
    assert names == [f"epoch_{n:04d}.png" for n in (0, 2, 4, 5)]
    picture = cv2.imread(str(tmp_path / "previews" / names[0]))
    assert picture.shape == (4, 6, 3) and picture[0, 0].tolist() == [10, 0, 255]  # BGR
