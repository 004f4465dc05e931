"""Calls made in turns, so that a slow moment of the machine meets all of them."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np


def in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1, alternate: bool = False
) -> dict[str, list]:
    """What each call returned, by name.

    Args:
      calls: name -> function.
      rounds: that count; each makes every call once.
      warm_up: rounds before them: functions are traced, caches filled.
      alternate: every second round goes backwards.
    """
    found, names = {name: [] for name in calls}, list(calls)
    for turn in range(-warm_up, rounds):
        for name in names[::-1] if alternate and turn % 2 else names:
            value = calls[name]()
            if turn >= 0:
                found[name].append(value)
    return found


def time_in_turns(calls: Mapping[str, Callable[[], object]], *args, **kwargs) -> dict[str, list]:
    """Seconds of each call; the other arguments are `in_turns`'."""
    timed = {name: functools.partial(seconds_of, call) for name, call in calls.items()}
    return in_turns(timed, *args, **kwargs)


def seconds_of(call: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def medians(values: Mapping[str, Sequence[float]], scale: float = 1.0) -> dict[str, float]:
    """Of each name's values, times `scale`."""
    return {name: scale * float(np.median(v)) for name, v in values.items()}


def speedups(seconds: Mapping[str, Sequence[float]], reference: str) -> dict[str, float]:
    """How many times as fast as `reference` each is: the median over the rounds."""
    base = np.array(seconds[reference])
    return {name: float(np.median(base / np.array(s))) for name, s in seconds.items()}


def largest_difference(ours: Mapping[str, float], theirs: Mapping[str, float]) -> float:
    """Relative, over the values that both report."""
    return max(abs(ours[n] - theirs[n]) / abs(theirs[n]) for n in theirs if n in ours)
