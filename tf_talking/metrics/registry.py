"""Metrics by name. A metric compares real with generated frames.

Frames are RGB uint8 [N, H, W, 3] (or one frame [H, W, 3]) on both sides. A metric `per` "frame"
gives float64 [N], NaN where a frame can not be measured (no face in it); one per "set" gives one
number for all frames. What a metric needs besides frames (a network, landmarks) is passed by name;
`Metric.needs` says what, and the metric's module what it is.
NumPy and OpenCV only, so that any program can measure without TensorFlow; networks are the
caller's (`inception.load_inception`, `face_recognition.load_recogniser`, ...).

Write one in a module of its own, decorated with `@registry.register("name", ...)`; the built-in
ones are imported on first use.
"""

import dataclasses
import importlib
from collections.abc import Callable

import numpy as np

_BUILT_IN = ("csim", "face_l1", "fid", "flicker", "l1", "landmark_error", "perceptual", "psnr", "ssim")


@dataclasses.dataclass(frozen=True)
class Metric:
    """A named function of (real, fake, **needs), frames being uint8 [N, H, W, 3]."""

    name: str
    higher_is_better: bool
    function: Callable[..., np.ndarray | float]
    needs: tuple[str, ...] = ()
    per: str = "frame"


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The value of a metric on a set of frames.

    Attributes:
      metric: its name.
      value: mean over the frames that could be measured; NaN where none could.
      n: frames that it comes from.
      missing: frames that could not be measured.
    """

    metric: str
    value: float
    n: int
    missing: int = 0


_METRICS: dict[str, Metric] = {}


def register(name: str, higher_is_better: bool, needs: tuple[str, ...] = (), per: str = "frame") -> Callable:
    """Decorator that makes a function known as metric `name`.

    Raises:
      ValueError: another function already has that name.
    """

    def add(function):
        if name in _METRICS:
            raise ValueError(f"metric {name!r} is registered already, by {_METRICS[name].function}")
        _METRICS[name] = Metric(name, higher_is_better, function, needs, per)
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


def _call(metric: Metric, real: np.ndarray, fake: np.ndarray, given: dict):
    """(function's value, number of frames), after a look at the arguments."""
    real, fake = np.asarray(real), np.asarray(fake)
    for side, frames in (("real", real), ("fake", fake)):
        if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3:
            raise ValueError(
                f"{metric.name}: {side} frames: got {frames.dtype} {frames.shape}, "
                "expected uint8 [N, H, W, 3] or [H, W, 3]"
            )
    if real.shape != fake.shape or real.size == 0:
        raise ValueError(
            f"{metric.name}: got real frames {real.shape} and fake frames {fake.shape}, "
            "expected equal shapes with at least one frame"
        )
    if set(given) != set(metric.needs):
        raise ValueError(f"{metric.name}: got {sorted(given)}, expected {sorted(metric.needs)}")
    if real.ndim == 3:
        real, fake = real[np.newaxis], fake[np.newaxis]
    return metric.function(real, fake, **given), len(real)


def compute_frames(name: str, real: np.ndarray, fake: np.ndarray, **needs) -> np.ndarray:
    """One value a frame.

    Args:
      name: of a registered metric per frame.
      real: uint8 [N, H, W, 3] or [H, W, 3], ground truth.
      fake: the same shape, generated.
      needs: what the metric needs besides.

    Returns:
      float64 [N].

    Raises:
      ValueError: unknown metric, one per set, other dtype, shapes that differ or have no frame, or
        something else given than the metric needs.
    """
    metric = get(name)
    if metric.per != "frame":
        raise ValueError(f"{name}: it has one value a {metric.per}, not one a frame")
    return _call(metric, real, fake, needs)[0]


def measure(name: str, real: np.ndarray, fake: np.ndarray, **needs) -> Measurement:
    """The metric over all frames, and how many they are. Arguments and errors as above."""
    metric = get(name)
    if metric.per == "set":
        value, n = _call(metric, real, fake, needs)
        return Measurement(name, float(value), n)
    values = compute_frames(name, real, fake, **needs)
    measured = ~np.isnan(values)
    value = float(np.mean(values[measured])) if measured.any() else float("nan")
    return Measurement(name, value, int(measured.sum()), int((~measured).sum()))


def compute(name: str, real: np.ndarray, fake: np.ndarray, **needs) -> float:
    """The value of `measure` alone."""
    return measure(name, real, fake, **needs).value
