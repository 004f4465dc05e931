"""Curves of fine-tuning over videos, as picture and table."""

import json
import math

import numpy as np
import pytest

from tf_talking.media.photos import read_photo
from training.evaluation.curves import CURVES_FILE, curve_blocks, mean_curve
from training.evaluation.folder import EvaluationFolder
from training.pages.blocks import Picture, Table


def look(epoch, l1, csim):
    return {"epoch": epoch, "l1": l1, "csim": csim}


FT = {"a": [look(0, 0.4, 0.1), look(5, 0.2, 0.5)], "b": [look(0, 0.2, math.nan), look(5, 0.1, 0.7)]}
KNEE = {"a": [look(0, 0.4, 0.0), look(2, 0.3, 0.0), look(4, 0.3, 0.0)], "b": [look(0, 0.2, 0.0)]}
BEST = {"a": 2, "b": None}  # nothing that b saw was finite


@pytest.fixture
def folder(tmp_path):
    folder = EvaluationFolder(tmp_path)
    folder.start({})
    for video_id in "ab":
        stop = {"curves": {"ft": FT[video_id], "knee": KNEE[video_id]}, "best": {"knee": BEST[video_id]}}
        seconds = {"ft": 10.0, "knee": 2.0 + 2 * (video_id == "b")}
        frames = {"stops": {8: stop}, "seconds": {8: seconds}}
        folder.write_video(video_id, [], frames, np.zeros((4, 4, 3), np.uint8), {})
    return folder


def facts(*methods):
    return {"shots": [8], "methods": ["ff", *methods]}


def test_mean_leaves_out_what_was_not_measured():
    epochs, means = mean_curve(list(FT.values()), "csim")
    assert epochs.tolist() == [0, 5] and means.tolist() == pytest.approx([0.1, 0.6])
    nothing = [[look(0, 1.0, math.nan)]]
    assert np.isnan(mean_curve(json.loads(json.dumps(nothing)), "csim")[1]).all()


def test_report_shows_curves_and_where_the_knees_were(folder):
    blocks = curve_blocks(folder.path, facts("ft", "knee"), folder.read("ab"))
    [picture] = [block for block in blocks if isinstance(block, Picture)]
    assert picture.columns == ["l1", "csim"] and picture.path == folder.path / CURVES_FILE
    image = read_photo(picture.path)
    height, width = image.shape[:2]
    assert width > 2 * height and image[:, : width // 2].std() > 5 < image[:, width // 2 :].std()
    [table] = [block for block in blocks if isinstance(block, Table)]
    assert table.rows == [["8", "2 [0, 4]", "2 [2, 2]", "0.3"]]


def test_nothing_is_said_of_what_was_not_asked_for(tmp_path):
    folder = EvaluationFolder(tmp_path)
    folder.start({})
    frames = {"stops": {8: {"curves": {}, "best": {}}}, "seconds": {8: {"ff": 0.1}}}
    folder.write_video("a", [], frames, np.zeros((4, 4, 3), np.uint8), {})
    assert curve_blocks(tmp_path, facts(), folder.read("a")) == []
    assert not (tmp_path / CURVES_FILE).exists()
