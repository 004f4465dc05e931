"""Memory that nobody uses, given back to the system."""

import ctypes
import gc


def release_free_memory() -> None:
    """Called after a model was loaded or freed, which both leave gigabytes of free heap behind.

    The C library keeps freed blocks for later use (glibc has `malloc_trim`; elsewhere nothing is
    done): a server holding a `paper` generator would keep 4.0 instead of 2.6 GiB.
    """
    gc.collect()  # a graph's objects refer to each other
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        pass  # not glibc
