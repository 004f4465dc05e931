"""Comparison against ground truth: the baseline, the table, the sheet."""

import dataclasses

import cv2
import numpy as np
import pytest

from serving.drive.comparison import Comparison, format_table, without_frames, write_sheet
from tf_talking.config import LandmarkConfig
from tf_talking.landmarks.draw import landmark_picture
from tf_talking.procedural import render as procedural
from tf_talking.spread import spread


def make():
    frames = {
        name: np.full((3, 16, 16, 3), i * 50, np.uint8)
        for i, name in enumerate(("nearest_source", "feed_forward", "fine_tuned"))
    }
    errors = {name: {"l1": 0.1 + i, "ssim": 0.5} for i, name in enumerate(frames)}
    truth = np.full((3, 16, 16, 3), 200, np.uint8)
    return Comparison(np.full((3, 68, 2), 8, np.float32), truth, frames, errors)


def test_table_has_a_row_a_method():
    lines = format_table(make()).splitlines()
    assert lines[0].split() == ["L1", "SSIM"]
    assert lines[2].split() == ["feed", "forward", "1.1000", "0.5000"]


def test_sheet_rows_are_source_landmarks_truth_and_results(tmp_path):
    write_sheet(make(), tmp_path / "sheet.png", columns=2, scale=1)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (5 * 16, 2 * 16, 3)
    assert [int(sheet[16 * row + 1, 1, 0]) for row in (0, 2, 3, 4)] == [0, 200, 50, 100]


@pytest.mark.parametrize("changed", [{"scheme": "ibug68_gaze"}, {"inner_lips": True}])
def test_sheet_draws_landmarks_as_the_cards_model_does(tmp_path, changed):
    drawing = dataclasses.replace(LandmarkConfig(), **changed)
    points = np.linspace(2, 14, 140, dtype=np.float32).reshape(70, 2)
    points = points if "scheme" in changed else points[:68]
    comparison = dataclasses.replace(make(), landmarks=np.stack([points] * 3), drawing=drawing)
    write_sheet(comparison, tmp_path / "sheet.png", columns=1, scale=1)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))[..., ::-1]
    expected = landmark_picture(drawing, points, 16)
    np.testing.assert_array_equal(sheet[16:32], expected)
    assert not np.array_equal(expected, landmark_picture(LandmarkConfig(), points[:68], 16))


def test_source_frames_are_left_out_of_what_is_measured():
    record = procedural.render_video(3, 7, 32)
    chosen = spread(record.num_frames, 3)
    np.testing.assert_array_equal(chosen, [0, 3, 6])
    rest = without_frames(record, chosen)
    assert rest.frames == [record.frames[i] for i in (1, 2, 4, 5)]
    np.testing.assert_array_equal(rest.landmarks, record.landmarks[[1, 2, 4, 5]])
    np.testing.assert_array_equal(spread(record.num_frames, 9), np.arange(7))
