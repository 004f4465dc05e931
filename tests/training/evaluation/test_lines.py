"""A result as a row of numbers and as a line of JSON."""

import datetime
import json
import math

import numpy as np
import pytest

from tf_talking.metrics.registry import Measurement
from training.evaluation.lines import make_row, parse_line, to_lines


def test_a_line_says_what_was_measured_on_what(evaluation_facts):
    measured = Measurement("fid", 0.25, 3, 1)
    [line] = to_lines([make_row(evaluation_facts, measured, "ft", 8, "a", driver="b")]).splitlines()
    read = json.loads(line)
    time = datetime.datetime.fromisoformat(read.pop("time"))
    assert abs(time - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=5)
    assert read == {
        "metric": "fid",
        "value": 0.25,
        "n": 3,
        "missing": 1,
        "checkpoint": "run/ckpt-7",
        "config_hash": "abc",
        "data_hash": "def",
        "seed": 0,
        "method": "ft",
        "shots": 8,
        "video": "a",
        "epochs": 3,
        "step": 7,
        "source": "inception.npz",
        "driver": "b",
    }


@pytest.mark.parametrize("value, written", [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, None), (0.25, 0.25)])
def test_infinite_and_missing_values_survive_the_file(evaluation_facts, value, written):
    measured = Measurement("psnr", value, 4)
    row = make_row(evaluation_facts, measured, "ff", 1, "a", low=math.nan, high=math.nan)
    [line] = to_lines([row]).splitlines()
    assert json.loads(line)["value"] == written and json.loads(line)["low"] is None
    read = parse_line(line)
    np.testing.assert_equal(read["value"], value)
    assert math.isnan(read["low"]) and math.isnan(read["high"])
    np.testing.assert_equal(read, row)
