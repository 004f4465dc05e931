"""What a benchmark ends with."""

import json

import numpy as np

from benchmarks.measuring.result import result, rounded


def test_figures_have_four_digits_at_any_depth_and_are_json():
    figures = {"a": {"b": [0.123456, np.float32(1234.56)]}, "n": np.int64(3), "t": "x", "no": None}
    expected = {"a": {"b": [0.1235, 1235.0]}, "n": 3, "t": "x", "no": None}
    assert json.loads(json.dumps(rounded(figures))) == expected


def test_a_result_names_its_machine():
    found = json.loads(json.dumps(result({"seconds": 1.0})))
    assert found["seconds"] == 1 and found["machine"].keys() >= {
        "cpu",
        "cores",
        "instruction_sets",
        "onednn",
        "tensorflow",
    }
