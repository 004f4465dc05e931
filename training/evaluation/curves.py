"""Fine-tuning epoch by epoch: errors on hold-out frames meanwhile, and where the knee was."""

import math
import pathlib
import warnings

import numpy as np

from training.evaluation.folder import FinishedVideo
from training.evaluation.names import CURVE_FRAMES, FT, KNEE, LABELS
from training.evaluation.tables import heading_of, range_cell
from training.pages.blocks import Heading, Picture, Table, Text
from training.pages.charts import new_figure, style_axes
from training.pages.html import number

CURVES_FILE = "curves.png"
_COLORS = ("#1f5fa8", "#c2571a", "#2a7f3e", "#7a3e9d")
_CURVE_NOTE = (
    f"FT on {CURVE_FRAMES} hold-out frames, mean over videos, after so many epochs; the authors "
    "warn that too few leave an identity gap and too many spoil the mimics. Dotted: the epoch at "
    "which stopping at the knee ended up, median over videos; it sees none of these frames."
)
_KNEE_NOTE = (
    "Stopping at the knee holds one few-shot frame out (T = 1: watches mirrored and moved views of "
    "it) and keeps the weights that were best on it: by L1 of the face, and by CSIM too where a "
    "recogniser is given (the one that measures it, but on few-shot frames only). Medians over "
    "videos, in brackets the range. Seconds are those of few-shot learning by the two, video by "
    "video, looking included."
)


def mean_curve(curves: list[list[dict]], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """(epochs int [E], mean over videos float64 [E]); NaN where no video was measured.

    Args:
      curves: of each video, a row a look, all at the same epochs.
      metric: a name in the rows; null counts as not measured.
    """
    epochs = np.array([row["epoch"] for row in curves[0]])
    values = np.array([[row[metric] for row in curve] for curve in curves], np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        return epochs, np.nanmean(values, axis=0)


def curve_blocks(folder: pathlib.Path, facts: dict, videos: list[FinishedVideo]) -> list:
    """What the report says about curves and the knee; nothing where neither was asked for.

    Writes the picture of the curves into the folder.
    """
    stops = {t: [video.stops[t] for video in videos] for t in facts["shots"]}
    curves = {t: [s["curves"][FT] for s in own if FT in s["curves"]] for t, own in stops.items()}
    curves = {t: own for t, own in curves.items() if own}
    blocks = []
    if curves:
        metrics = [name for name in next(iter(curves.values()))[0][0] if name != "epoch"]
        path = folder / CURVES_FILE
        draw_curves(path, curves, metrics, {t: _best(own) for t, own in stops.items()})
        picture = Picture(path, pathlib.PurePath(CURVES_FILE), metrics, 280, False)
        blocks += [Heading("Epoch by epoch"), Text(_CURVE_NOTE), picture]
    if KNEE in facts["methods"]:
        blocks += [Heading(LABELS[KNEE]), Text(_KNEE_NOTE), _knee_table(facts, videos, stops)]
    return blocks


def draw_curves(path: pathlib.Path, curves: dict, metrics: list[str], best: dict) -> None:
    """One small chart a metric side by side, a line for each T. `best`: T -> epochs of knees."""
    figure = new_figure(3.5 * len(metrics), 3.0, dpi=160)
    charts = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(charts, metrics, strict=True):
        for (shots, own), color in zip(curves.items(), _COLORS * len(curves), strict=False):
            axes.plot(*mean_curve(own, metric), color=color, linewidth=1.6, label=f"T = {shots}")
            if best[shots]:
                axes.axvline(np.median(best[shots]), color=color, linestyle=":", linewidth=1.2)
        axes.set_title(heading_of(metric), fontsize=10, loc="left")
        axes.set_xlabel("epochs", fontsize=9)
        style_axes(axes)
    figure.axes[0].legend(fontsize=8, frameon=False)
    figure.savefig(path)


def _best(stops: list[dict]) -> list[int]:
    """Epochs of the knees that were found."""
    return [s["best"][KNEE] for s in stops if s["best"].get(KNEE) is not None]


def _knee_table(facts: dict, videos: list[FinishedVideo], stops: dict) -> Table:
    rows = []
    for shots, own in stops.items():
        trained = [s["curves"][KNEE][-1]["epoch"] for s in own if s["curves"].get(KNEE)]
        seconds = [video.seconds[shots] for video in videos]
        ratio = math.nan
        if FT in facts["methods"]:
            ratio = float(np.median([s[KNEE] / s[FT] for s in seconds if s[FT]] or [math.nan]))
        rows.append([str(shots), range_cell(trained), range_cell(_best(own)), number(ratio)])
    header = ["T", "epochs trained", "epoch of the best weights", "seconds, by those of FT"]
    return Table(header, rows)
