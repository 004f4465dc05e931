"""What a run folder's logs say, read with care for what kills and restarts leave in them.

metrics.jsonl: one JSON object a logged step. A run that was killed or rolled back goes on from an
older step; lines of the steps that were undone are dropped, for they do not belong to the weights
there are now. An unfinished last line is normal; damaged lines are counted and named.
No TensorFlow.
"""

import array
import bisect
import dataclasses
import json
import math
import pathlib
from collections.abc import Iterator

import numpy as np
import tqdm

_BAR_FROM = 50e6  # bytes; smaller files are read in a moment


@dataclasses.dataclass
class MetricLog:
    """The scalars of a run.

    Attributes:
      steps: int64 [T], rising.
      values: metric name -> float64 [T]; NaN where a line lacks the metric or it is not finite.
      restarts: steps from which the run went on after a kill or a rollback.
      not_finite: metric name -> how often it was NaN or infinite.
      problems: sentences about lines that could not be used.
    """

    steps: np.ndarray
    values: dict[str, np.ndarray]
    restarts: list[int]
    not_finite: dict[str, int]
    problems: list[str]


@dataclasses.dataclass(frozen=True)
class Alarm:
    """An alarm that was raised; `until` is the step at which it was cleared, None: it stands."""

    step: int
    name: str
    message: str
    value: float | None
    threshold: float | None
    until: int | None = None


def read_lines(path: pathlib.Path, problems: list[str]) -> Iterator[dict]:
    """The JSON objects of a file; adds a sentence to `problems` where a line is damaged."""
    bad, first = 0, None
    size = path.stat().st_size
    with (
        open(path, "rb") as file,
        tqdm.tqdm(total=size, unit="B", unit_scale=True, desc=path.name, disable=size < _BAR_FROM) as bar,
    ):
        for number, line in enumerate(file, 1):
            bar.update(len(line))
            try:
                entry = json.loads(line)
                if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
                    raise ValueError
            except ValueError:  # UnicodeDecodeError and JSONDecodeError too
                if line.endswith(b"\n") and line.strip():
                    bad, first = bad + 1, first or number
                continue
            yield entry
    if bad:
        problems.append(
            f"{path.name}: {bad} line(s) left out, the first is line {first}; expected a JSON "
            "object with a whole number 'step'"
        )


def read_metrics(path: pathlib.Path) -> MetricLog:
    """Reads metrics.jsonl; an empty log with a problem where there is no such file."""
    steps, columns = array.array("q"), {}
    restarts, not_finite, problems = [], {}, []
    if not path.is_file():
        problems.append(f"{path.name}: missing; no step has been logged yet")
        return MetricLog(np.zeros(0, np.int64), {}, [], {}, problems)
    for entry in read_lines(path, problems):
        step = entry.pop("step")
        if steps and step <= steps[-1]:
            kept = bisect.bisect_left(steps, step)
            del steps[kept:]
            for column in columns.values():
                del column[kept:]
            restarts = [r for r in restarts if r < step] + [step]
        for name, value in entry.items():
            if value is None:  # how the log writes what is not finite
                value = math.nan
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if name not in columns:
                columns[name] = array.array("d", [math.nan]) * len(steps)
            columns[name].append(value if math.isfinite(value) else math.nan)
            if not math.isfinite(value):
                not_finite[name] = not_finite.get(name, 0) + 1
        steps.append(step)
        for column in columns.values():
            if len(column) < len(steps):
                column.append(math.nan)
    if not steps:
        problems.append(f"{path.name}: holds no logged step")
    values = {name: np.array(column) for name, column in sorted(columns.items())}
    return MetricLog(np.array(steps, np.int64), values, restarts, not_finite, problems)


def read_alarms(path: pathlib.Path) -> tuple[list[Alarm], list[str]]:
    """(alarms by step, problems) of alarms.jsonl; none where there is no such file.

    A step that ran twice counts once, with what its later line says.
    """
    problems, alarms, last = [], {}, {}
    if path.is_file():
        for entry in read_lines(path, problems):
            name = str(entry.get("alarm", "unnamed"))
            if entry.get("state") == "cleared":
                if name in last and last[name] in alarms:
                    raised = alarms[last[name]]
                    alarms[last[name]] = dataclasses.replace(raised, until=entry["step"])
                continue
            last[name] = (entry["step"], name)
            alarms[entry["step"], name] = Alarm(
                entry["step"],
                name,
                str(entry.get("message", "")),
                _number(entry.get("value")),
                _number(entry.get("threshold")),
            )
    return sorted(alarms.values(), key=lambda alarm: (alarm.step, alarm.name)), problems


def _number(value) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


@dataclasses.dataclass
class Curve:
    """A metric thinned for drawing: each point stands for one bin of neighbouring steps.

    Attributes:
      steps, mean, low, high, smooth: float64 [n]; low and high are the bin's extremes.
      thinned: whether a bin holds more than one value.
    """

    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    smooth: np.ndarray
    thinned: bool


def thin(steps: np.ndarray, values: np.ndarray, max_points: int, smoothing: float) -> Curve | None:
    """Bins of equal numbers of values; None where no value is finite.

    Args:
      steps, values: [T]; values may hold NaN.
      max_points: bins at most.
      smoothing: weight in [0, 1) of the past in the moving average over the bins.
    """
    finite = np.isfinite(values)
    steps, values = steps[finite].astype(np.float64), values[finite]
    if not len(values):
        return None
    count = min(len(values), max_points)
    starts = np.arange(count) * len(values) // count
    sizes = np.diff(np.append(starts, len(values)))
    mean = np.add.reduceat(values, starts) / sizes
    return Curve(
        np.add.reduceat(steps, starts) / sizes,
        mean,
        np.minimum.reduceat(values, starts),
        np.maximum.reduceat(values, starts),
        moving_average(mean, smoothing),
        len(values) > count,
    )


def moving_average(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average that does not start at 0 (as Adam's bias correction)."""
    smooth, average, total = np.empty_like(values), 0.0, 0.0
    for index, value in enumerate(values):
        average = weight * average + (1.0 - weight) * value
        total = weight * total + (1.0 - weight)
        smooth[index] = average / total
    return smooth
