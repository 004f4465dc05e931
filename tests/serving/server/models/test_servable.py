"""Freed blocks go back to the system."""

import os
import platform

import numpy as np
import pytest

from benchmarks.measuring.memory import resident_mib
from serving.server.models.servable import release_free_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can give memory back")
def test_memory_between_blocks_in_use_is_given_back():
    # Small enough not to be mapped by themselves; every thousandth stays, so that the heap can
    # not shrink from its end.
    blocks = [np.ones(8_000, np.uint8) for _ in range(30_000)]
    kept = blocks[::1000]
    del blocks
    before = resident_mib(os.getpid())
    release_free_memory()
    assert resident_mib(os.getpid()) < before - 100
    assert all(block[0] == 1 for block in kept)
