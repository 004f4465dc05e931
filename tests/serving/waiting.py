"""Facts that come true after a while."""

import time


def until(condition, seconds=60):
    """Waits for a fact, and returns its value; fails when it does not come true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"not true after {seconds} s")
