"""Confidence interval of a mean by the bootstrap (Efron 1979), percentile method.

The unit that is drawn again is the video: frames of one video are not independent of one another.
With few videos the interval is too narrow, as every bootstrap's; state how many there were.
"""

import numpy as np


def mean_interval(
    values: np.ndarray, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """(low, high) of the mean of `values`.

    Args:
      values: float [V], one a video; NaN (nothing could be measured) does not count.
      level: part of the resampled means that lies inside, 0..1.
      resamples: how often V values are drawn with replacement.
      seed: of the draws; the same seed gives the same interval.

    Returns:
      NaN twice for fewer than two values, or where one is infinite (PSNR of equal frames).

    Raises:
      ValueError: values that are not [V], or a level outside 0..1.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1:
        raise ValueError(f"bootstrap: got values {values.shape}, expected [V]")
    if not 0.0 < level < 1.0:
        raise ValueError(f"bootstrap: got level {level}, expected more than 0 and less than 1")
    values = values[~np.isnan(values)]
    if len(values) < 2 or np.isinf(values).any():
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    means = values[drawn].mean(axis=1)
    tail = (1.0 - level) / 2
    low, high = np.quantile(means, (tail, 1.0 - tail))
    return float(low), float(high)
