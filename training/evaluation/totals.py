"""Figures over all videos of an evaluation, as numbers."""

import math

import numpy as np

from tf_talking.metrics.bootstrap import mean_interval
from tf_talking.metrics.fid import fid_of_features
from tf_talking.metrics.registry import Measurement
from training.evaluation.folder import REAL, FinishedVideo, feature_key
from training.evaluation.lines import make_row


def over_all_videos(videos: list[FinishedVideo], facts: dict, metrics: list[str]) -> list[dict]:
    """Rows of every metric, method and T over all videos, with `low` and `high`.

    A metric is the mean of the videos' values, every video counting the same, with a bootstrap
    interval over videos. FID is taken once from the features of all frames and has no interval:
    a video that is drawn twice would change its bias.
    """
    own: dict[tuple, list[dict]] = {}
    for video in videos:
        for row in video.rows:
            own.setdefault((row["metric"], row["method"], row["shots"]), []).append(row)
    features = [video.features() for video in videos] if "fid" in metrics else []
    rows = []
    for shots in facts["shots"]:
        for method in facts["methods"]:
            for metric in metrics:
                low = high = math.nan
                if metric == "fid":
                    key = feature_key(method, shots)
                    real, fake = (np.concatenate([f[k] for f in features]) for k in (REAL, key))
                    measured = Measurement("fid", fid_of_features(real, fake), len(real))
                else:
                    found = own.get((metric, method, shots), [])
                    measured = mean_over_videos(metric, found)
                    values = np.array([row["value"] for row in found])
                    low, high = mean_interval(values, seed=facts["seed"])
                more = {"videos": len(videos), "low": low, "high": high}
                rows.append(make_row(facts, measured, method, shots, None, **more))
    return rows


def mean_over_videos(metric: str, rows: list[dict]) -> Measurement:
    """Mean of the videos' values; NaN where none could be measured."""
    values = np.array([row["value"] for row in rows])
    measured = ~np.isnan(values)
    value = float(values[measured].mean()) if measured.any() else math.nan
    return Measurement(metric, value, sum(row["n"] for row in rows), sum(row["missing"] for row in rows))


def median_seconds(videos: list[FinishedVideo], shots: int) -> dict[str, float]:
    """Method -> seconds that few-shot learning took, median over videos."""
    seconds = [video.seconds[shots] for video in videos]
    return {method: float(np.median([s[method] for s in seconds])) for method in seconds[0]}
