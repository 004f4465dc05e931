"""Figures of evaluations as cells of tables. Here numbers become text."""

import math

import numpy as np

from tf_talking.metrics import registry
from tf_talking.metrics.bootstrap import mean_interval
from training.pages.html import number

_NAMES = {
    "fid": "FID-768",
    "ssim": "SSIM",
    "csim": "CSIM",
    "l1": "L1",
    "face_l1": "L1 of the face",
    "psnr": "PSNR, dB",
    "perceptual": "deep features",
    "landmark_error": "landmark error",
    "flicker": "flicker",
}


def heading_of(metric: str) -> str:
    """Its name for people, with the paper's arrow for the better direction."""
    arrow = "↑" if registry.get(metric).higher_is_better else "↓"
    return _NAMES.get(metric, metric) + arrow


def by_figure(rows: list[dict]) -> dict[tuple, dict]:
    """(method, T, metric, video) -> row; the video is None in rows over all videos."""
    return {(r["method"], r["shots"], r["metric"], r["video"]): r for r in rows}


def by_video(metrics: list[str]) -> list[str]:
    """Those of the metrics that single videos have: all but FID."""
    return [metric for metric in metrics if metric != "fid"]


def interval_text(low: float, high: float, form: str = ".4g") -> str:
    """Stands behind a figure; nothing where there is no interval."""
    return "" if math.isnan(low) else f" [{low:{form}}, {high:{form}}]"


def total_cell(row: dict) -> str:
    """Value of a row over all videos, its interval, and frames that could not be measured."""
    missing = f" ({row['missing']} frames without)" if row["missing"] else ""
    return f"{number(row['value'])}{interval_text(row['low'], row['high'])}{missing}"


def mean_cell(values: list[float], seed: int) -> str:
    """Mean of a value a video, and its interval."""
    return f"{number(float(np.mean(values)))}{interval_text(*mean_interval(values, seed=seed))}"


def difference_cells(
    before: tuple[dict, str], after: tuple[dict, str], shots: int, metrics: list[str], videos: list[str], seed: int
) -> list[str]:
    """How much better or worse the same videos are: a cell a metric. `before`, `after`: figures
    (see `by_figure`) and the method among them; `metrics`: those with a value a video."""
    cells = []
    for metric in metrics:
        a, b = (
            np.array([figures[method, shots, metric, video]["value"] for video in videos])
            for figures, method in (before, after)
        )
        with np.errstate(invalid="ignore"):  # two infinite PSNRs
            cells.append(difference_cell(metric, b - a, seed))
    return cells


def difference_cell(metric: str, difference: np.ndarray, seed: int) -> str:
    """Mean of differences float64 [V], NaN where unknown, its interval, how many are better."""
    known = difference[~np.isnan(difference)]
    if not len(known):
        return "–"
    low, high = mean_interval(known, seed=seed)
    better = (known > 0) if registry.get(metric).higher_is_better else (known < 0)
    return f"{known.mean():+.3g}{interval_text(low, high, '+.3g')}, {better.sum()}/{len(known)}"


def range_cell(values: list[float]) -> str:
    """Median and range."""
    if not values:
        return "–"
    return f"{np.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"
