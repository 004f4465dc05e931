"""A result: what was measured, on what, and when. A dict of numbers here, a line of JSON in files.

Values that are not finite are null (nothing could be measured) or "inf" (PSNR of equal frames) in
the files: NaN and Infinity are not JSON.
"""

import datetime
import json
import math

from tf_talking.metrics.registry import Measurement

_NUMBERS = ("value", "low", "high")


def make_row(facts: dict, measured: Measurement, method: str, shots: int, video: str | None, **more) -> dict:
    """The result of one metric, method and T; `video` None: of all videos."""
    return {
        "metric": measured.metric,
        "value": measured.value,
        "n": measured.n,
        "missing": measured.missing,
        "checkpoint": facts["checkpoint"],
        "config_hash": facts["config_hash"],
        "data_hash": facts["data_hash"],
        "seed": facts["seed"],
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "method": method,
        "shots": shots,
        "video": video,
        "epochs": facts["epochs"].get(method, 0),
        "step": facts["step"],
        "source": facts["metric_sources"].get(measured.metric),
        **more,
    }


def to_lines(rows: list[dict]) -> str:
    """The rows as lines."""
    return "".join(f"{json.dumps(row | _written(row), allow_nan=False)}\n" for row in rows)


def _written(row: dict) -> dict:
    values = {name: row[name] for name in _NUMBERS if name in row}
    return {
        name: value if math.isfinite(value) else None if math.isnan(value) else str(value)
        for name, value in values.items()
    }


def parse_line(line: str) -> dict:
    """The row of a line, with its value (and interval) as floats again."""
    row = json.loads(line)
    numbers = {name: row[name] for name in _NUMBERS if name in row}
    return row | {name: math.nan if v is None else float(v) for name, v in numbers.items()}
