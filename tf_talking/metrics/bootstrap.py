"""Confidence intervals by the bootstrap (Efron 1979), percentile method.

Units are drawn again: videos, or a study's participants, for frames of one video are not
independent. With few units the interval is too narrow, as every bootstrap's; state how many.
"""

from collections.abc import Callable

import numpy as np


def interval(
    units: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """(low, high) of a statistic.

    Args:
      units: [N, ...], one row a unit.
      statistic: drawn units [resamples, N, ...] -> [resamples].
      level: part of the resampled statistics that lies inside, 0..1.
      resamples: how often N units are drawn with replacement.
      seed: of the draws; the same seed gives the same interval.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"bootstrap: got level {level}, expected more than 0 and less than 1")
    drawn = np.random.default_rng(seed).integers(0, len(units), (resamples, len(units)))
    tail = (1.0 - level) / 2
    low, high = np.quantile(statistic(units[drawn]), (tail, 1.0 - tail))
    return float(low), float(high)


def mean_interval(
    values: np.ndarray, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """`interval` of the mean of `values` float [V]; NaN (nothing was measured) does not count.

    Returns:
      NaN twice for fewer than two values, or where one is infinite (PSNR of equal frames).

    Raises:
      ValueError: values that are not [V], or a level outside 0..1.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1:
        raise ValueError(f"bootstrap: got values {values.shape}, expected [V]")
    values = values[~np.isnan(values)]
    if len(values) < 2 or np.isinf(values).any():
        return float("nan"), float("nan")
    return interval(values, lambda drawn: drawn.mean(axis=1), level, resamples, seed)
