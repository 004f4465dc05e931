"""Figures as cells of tables."""

import math

import numpy as np
import pytest

from tf_talking.metrics.bootstrap import mean_interval
from training.evaluation.tables import (
    by_figure,
    by_video,
    difference_cell,
    difference_cells,
    heading_of,
    interval_text,
    mean_cell,
    range_cell,
    total_cell,
)


def row(metric, value, method="ff", video=None, **more):
    return {"metric": metric, "value": value, "method": method, "shots": 1, "video": video, **more}


def test_headings_say_which_direction_is_better():
    assert [heading_of(name) for name in ("ssim", "l1", "fid")] == ["SSIM↑", "L1↓", "FID-768↓"]
    assert by_video(["fid", "l1"]) == ["l1"]


@pytest.mark.parametrize(
    "figures, cell",
    [
        ({"low": 0.1, "high": 0.30001, "missing": 0}, "0.2 [0.1, 0.3]"),
        ({"low": math.nan, "high": math.nan, "missing": 2}, "0.2 (2 frames without)"),
    ],
)
def test_cell_of_a_total(figures, cell):
    assert total_cell(row("l1", 0.2, **figures)) == cell


def test_cell_of_a_mean():
    values = [0.1, 0.2, 0.6]
    low, high = mean_interval(np.array(values), seed=3)
    assert mean_cell(values, 3) == f"0.3 [{low:.4g}, {high:.4g}]"
    assert mean_cell([0.25], 3) == "0.25" and interval_text(math.nan, math.nan) == ""


@pytest.mark.parametrize("metric, better", [("l1", 1), ("ssim", 2)])
def test_cell_of_a_difference_counts_who_is_better(metric, better):
    cell = difference_cell(metric, np.array([0.1, -0.2, math.nan, 0.4]), 0)
    assert cell.startswith("+0.1 [-0.2, +0.4], ") and cell.endswith(f" {better}/3")
    assert difference_cell(metric, np.array([math.nan]), 0) == "–"
    assert difference_cell(metric, np.array([0.5]), 0) == "+0.5, " + ("0/1", "1/1")[metric == "ssim"]


def test_differences_are_of_the_same_videos():
    rows = [
        row("psnr", value, method, video)
        for method, values in (("ff", (20.0, math.inf, 1.0)), ("ft", (21.0, math.inf, 9.0)))
        for video, value in zip("abc", values, strict=True)
    ]
    figures = by_figure(rows)
    assert figures["ft", 1, "psnr", "a"]["value"] == 21.0
    pair = (figures, "ff"), (figures, "ft")
    # Two frames that equal the truth differ by nothing that is known.
    assert difference_cells(*pair, 1, ["psnr"], ["a", "b"], 0) == ["+1, 1/1"]


def test_cell_of_a_range():
    assert range_cell([2, 8, 4]) == "4 [2, 8]" and range_cell([]) == "–"
