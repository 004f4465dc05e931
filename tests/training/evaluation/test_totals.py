"""Means over videos, FID over all of their frames."""

import math

import numpy as np
import pytest

from tf_talking.metrics import fid
from training.evaluation.folder import REAL
from training.evaluation.totals import median_seconds, over_all_videos


def test_means_and_intervals_over_videos(folder, evaluation_facts, write_video):
    values = {"a": 0.2, "b": 0.5, "c": math.nan}
    for video_id, value in values.items():
        write_video(folder, video_id, value, missing=4 if math.isnan(value) else 1)
    ff, ft = over_all_videos(folder.read(values), evaluation_facts, ["csim"])
    assert (ff["method"], ff["video"], ff["videos"], ff["epochs"]) == ("ff", None, 3, 0)
    assert (ff["value"], ff["n"], ff["missing"]) == (pytest.approx(0.35), 6, 6)
    assert (ff["low"], ff["high"]) == (pytest.approx(0.2), pytest.approx(0.5))
    assert ft["value"] == pytest.approx(0.45) and ft["epochs"] == 3


def test_fid_is_taken_over_the_frames_of_all_videos(folder, evaluation_facts, write_video):
    generator = np.random.default_rng(0)
    features = [{key: generator.normal(size=(4, 3)) for key in (REAL, "ff 1", "ft 1")} for _ in range(3)]
    for number, own in enumerate(features):
        write_video(folder, f"v{number}", 0.5, own)
    rows = over_all_videos(folder.read(["v0", "v1", "v2"]), evaluation_facts, ["fid"])
    for row, key in zip(rows, ("ff 1", "ft 1"), strict=True):
        real, fake = (np.concatenate([f[k] for f in features]) for k in (REAL, key))
        expected = fid.frechet_distance(*fid.feature_statistics(real), *fid.feature_statistics(fake))
        assert row["value"] == pytest.approx(expected)
        assert row["n"] == 12 and math.isnan(row["low"])
        assert row["source"] == "inception.npz"


def test_seconds_are_medians(folder):
    for name, seconds in (("a", 1.0), ("b", 2.0), ("c", 9.0)):
        folder.write_video(name, [], {"seconds": {8: {"ff": seconds}}}, None, {})
    assert median_seconds(folder.read("abc"), 8) == {"ff": 2.0}
