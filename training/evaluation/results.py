"""One JSON line a result: what was measured, on what, and when."""

import datetime
import hashlib
import json
import math

import numpy as np

from tf_talking.metrics.registry import Measurement


def data_hash(*arrays: np.ndarray) -> str:
    """12 hexadecimal digits over the arrays' types, shapes and values: which data were measured."""
    digest = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]


def result_line(
    measurement: Measurement, checkpoint: str, config_hash: str, data: str, seed: int, **more
) -> str:
    """A line without its end.

    Args:
      measurement: of `registry.measure`.
      checkpoint: prefix that the frames were generated from.
      config_hash: of its config.
      data: see `data_hash`, or a dataset's own.
      seed: of the choice of frames, and of the training where there was one.
      more: further fields, such as the weight file of the metric's network.

    A value that is not finite is written as null (no frame could be measured) or "inf" (PSNR of
    equal frames): NaN and Infinity are not JSON.
    """
    value = measurement.value
    if not math.isfinite(value):
        value = None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    fields = {
        "metric": measurement.metric,
        "value": value,
        "n": measurement.n,
        "missing": measurement.missing,
        "checkpoint": checkpoint,
        "config_hash": config_hash,
        "data_hash": data,
        "seed": seed,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    return json.dumps({**fields, **more}, allow_nan=False)
