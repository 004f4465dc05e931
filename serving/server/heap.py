"""Gives memory that nobody uses back to the system.

The C library keeps freed blocks for later use, in a heap of each thread's own: a server that has
decoded a few large photos, or loaded a `paper` generator, would hold gigabytes for nothing (4.0
instead of 2.6 GiB). glibc has `malloc_trim`; elsewhere nothing is done. TensorFlow allocates in
that heap too, because `model_server` asks for it; its own pool for oneDNN gives nothing back.
"""

import asyncio
import ctypes
import gc
import os
import pathlib

_GROWTH = 1.02  # less is not worth the faults of pages that come back
_STATM = pathlib.Path("/proc/self/statm")
_ARENA_MAX, _ARENAS = -8, 2  # glibc's M_ARENA_MAX; of eight a core by default


def share_arenas() -> None:
    """Few arenas for all threads: each cuts up memory of its own. To be called before the first."""
    try:
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)
    except (AttributeError, OSError, TypeError):
        pass  # not glibc


def release_free_memory() -> None:
    """Called after a model was loaded or freed."""
    gc.collect()  # a graph's objects refer to each other
    trim_heap()


def trim_heap() -> None:
    """Gives free pages back. Safe to call from any thread at any time."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        pass  # not glibc


async def keep_heap_small(seconds: float = 5.0) -> None:
    """Trims the heap where it has grown, at most once in `seconds`; runs until cancelled."""
    least = _resident()
    while least:
        await asyncio.sleep(seconds)
        if _resident() > _GROWTH * least:
            await asyncio.to_thread(trim_heap)
            least = _resident()
        least = min(least, _resident())


def _resident() -> int:
    """Bytes of resident memory; 0 where that can not be told."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0
