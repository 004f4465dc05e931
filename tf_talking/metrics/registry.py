"""Metrics by name. A metric compares real with generated frames and gives one number a frame.

Frames are RGB uint8 [N, H, W, 3] (or one frame [H, W, 3]) on both sides; values are float64 [N].
NumPy and OpenCV only, so that any program can measure without TensorFlow.

Write one in a module of its own, decorated with `@registry.register("name", ...)`; the built-in
ones are imported on first use.
"""

import dataclasses
import importlib
from collections.abc import Callable

import numpy as np

_BUILT_IN = ("l1", "psnr", "ssim")


@dataclasses.dataclass(frozen=True)
class Metric:
    """A named function of (real, fake), both uint8 [N, H, W, 3], to float64 [N]."""

    name: str
    higher_is_better: bool
    function: Callable[[np.ndarray, np.ndarray], np.ndarray]


_METRICS: dict[str, Metric] = {}


def register(name: str, higher_is_better: bool):
    """Decorator that makes a function known as metric `name`.

    Raises:
      ValueError: another function already has that name.
    """

    def add(function):
        if name in _METRICS:
            raise ValueError(f"metric {name!r} is registered already, by {_METRICS[name].function}")
        _METRICS[name] = Metric(name, higher_is_better, function)
        return function

    return add


def _load_built_in() -> None:
    for name in _BUILT_IN:
        importlib.import_module(f"tf_talking.metrics.{name}")


def names() -> list[str]:
    """All known metrics, sorted."""
    _load_built_in()
    return sorted(_METRICS)


def get(name: str) -> Metric:
    """The metric of that name.

    Raises:
      ValueError: unknown; lists the known ones.
    """
    if name not in names():
        raise ValueError(f"unknown metric {name!r}, expected one of {names()}")
    return _METRICS[name]


def compute_frames(name: str, real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """One value a frame.

    Args:
      name: of a registered metric.
      real: uint8 [N, H, W, 3] or [H, W, 3], ground truth.
      fake: the same shape, generated.

    Returns:
      float64 [N].

    Raises:
      ValueError: unknown metric, other dtype, or shapes that differ or have no frame.
    """
    metric = get(name)
    real, fake = np.asarray(real), np.asarray(fake)
    for side, frames in (("real", real), ("fake", fake)):
        if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3:
            raise ValueError(
                f"{name}: {side} frames: got {frames.dtype} {frames.shape}, "
                "expected uint8 [N, H, W, 3] or [H, W, 3]"
            )
    if real.shape != fake.shape or real.size == 0:
        raise ValueError(
            f"{name}: got real frames {real.shape} and fake frames {fake.shape}, "
            "expected equal shapes with at least one frame"
        )
    if real.ndim == 3:
        real, fake = real[np.newaxis], fake[np.newaxis]
    return metric.function(real, fake)


def compute(name: str, real: np.ndarray, fake: np.ndarray) -> float:
    """Mean over the frames of `compute_frames`, with its arguments and errors."""
    return float(np.mean(compute_frames(name, real, fake)))
