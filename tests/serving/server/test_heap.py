"""Freed memory that the C library would keep goes back to the system."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.measuring.memory import resident_mib
from serving.server.heap import release_free_memory

only_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can give memory back")

CODE = """
import asyncio, sys
from serving.server.heap import _resident, keep_heap_small

async def main(trims):
    keeping = asyncio.create_task(keep_heap_small(0.1)) if trims else None
    await asyncio.sleep(0.3)
    before = _resident()
    blocks = [bytes(60_000) for _ in range(4000)]  # 240 MB in the heap
    del blocks[:-1]  # the last one holds the heap's end
    await asyncio.sleep(1)
    print((_resident() - before) // 2**20)

asyncio.run(main(sys.argv[1] == "yes"))
"""


@only_glibc
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


@only_glibc
def test_a_heap_that_has_grown_is_trimmed(repo_root):
    def grown(trims: str) -> int:
        command = [sys.executable, "-c", CODE, trims]
        return int(subprocess.run(command, cwd=repo_root, capture_output=True, text=True, check=True).stdout)

    assert grown("no") > 150
    assert grown("yes") < 40
