"""Curves of a run as SVG pictures with matplotlib, one small chart a metric."""

import matplotlib.ticker
import numpy as np

from tf_talking.spread import spread
from training.pages.charts import new_figure, style_axes, svg_uri
from training.run_report.data import Alarm, Curve, MetricLog, thin

MAX_POINTS = 500  # of a curve; more can not be told apart at a chart's width
_MAX_MARKS = 60  # alarm lines of a chart
_LINE, _BAND, _ALARM, _RESTART = "#1f5fa8", "#a9c6e6", "#d0342c", "#999999"
_LOG_RATIO = 30.0  # largest over smallest value from which a log axis shows more

# What a group is, for the reader who did not write the code.
GROUPS = {
    "loss": "terms of the objectives before their weights; generator and discriminator are sums",
    "score": "D's raw scores; active: share of frames on which its hinge pushes (0: D has won)",
    "norm": "mean lengths of ê and of W's rows; near 0 the embedder is dead",
    "error": "distance between result and truth, 0 to 1",
    "watch": "signs of collapse that the alarms are computed from",
    "data": "the input pipeline",
    "speed": "steps per second",
}


def group_metrics(names: list[str]) -> dict[str, list[str]]:
    """Prefix -> metric names; known groups first, in the order of GROUPS. No prefix: "other"."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        prefix = name.partition("/")[0] if "/" in name else "other"
        groups.setdefault(prefix, []).append(name)
    order = list(GROUPS)
    return dict(sorted(groups.items(), key=lambda g: (order.index(g[0]) if g[0] in order else 99, g[0])))


def chart(log: MetricLog, name: str, alarms: list[Alarm], smoothing: float) -> str | None:
    """The chart of one metric as a data URI, or None where it has no finite value.

    Pale: raw values (a band from low to high where steps were thinned out). Dark: moving average.
    Red: alarms. Dotted: where the run went on after a stop or a rollback.
    """
    curve = thin(log.steps, log.values[name], MAX_POINTS, smoothing)
    if curve is None:
        return None
    figure = new_figure(4.2, 2.3)
    axes = figure.subplots()
    if curve.thinned:
        axes.fill_between(curve.steps, curve.low, curve.high, color=_BAND, linewidth=0)
    else:
        marker = "." if len(curve.steps) == 1 else None
        axes.plot(curve.steps, curve.mean, color=_BAND, linewidth=0.9, marker=marker)
    axes.plot(curve.steps, curve.smooth, color=_LINE, linewidth=1.4)
    for step in _some(log.restarts):
        axes.axvline(step, color=_RESTART, linewidth=0.8, linestyle=":")
    for step in _some(sorted({alarm.step for alarm in alarms})):
        axes.axvline(step, color=_ALARM, linewidth=0.7, alpha=0.6)
    is_log = needs_log_scale(curve)
    if is_log:
        axes.set_yscale("log")
    axes.set_title(f"{name}{'  (log scale)' if is_log else ''}", fontsize=9, loc="left")
    axes.set_title(f"{curve.smooth[-1]:.4g}", fontsize=9, loc="right", color=_LINE)
    # The same axis on every chart, so that what happened at one step stands in one line.
    axes.set_xlim(log.steps[0] - 1, max(log.steps[-1], log.steps[0] + 1))
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(short_number))
    style_axes(axes)
    return svg_uri(figure)


def needs_log_scale(curve: Curve) -> bool:
    """Whether all values are positive and spread over more than a decade and a half."""
    if curve.low.min() <= 0:
        return False
    return float(np.quantile(curve.mean, 0.98) / np.quantile(curve.mean, 0.02)) > _LOG_RATIO


def short_number(value: float, position=None) -> str:
    """1500 -> 1.5k, 2000000 -> 2M."""
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"


def _some(steps: list[int]) -> list[int]:
    """As many as a chart has room for."""
    return [steps[i] for i in spread(len(steps), _MAX_MARKS)]
