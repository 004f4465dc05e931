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


ARENAS = """
import sys, threading
from serving.server.heap import share_arenas

if sys.argv[1] == "yes":
    share_arenas()
barrier = threading.Barrier(16)

def work():
    barrier.wait()
    blocks = [bytes(60_000) for _ in range(50)]
    barrier.wait()
    return blocks

threads = [threading.Thread(target=work) for _ in range(16)]
[t.start() for t in threads]
[t.join() for t in threads]
# A thread's arena is a mapping of 64 MiB, of which little can be used at first.
maps = [line.split() for line in open("/proc/self/maps")]
ends = [[int(x, 16) for x in line[0].split("-")] for line in maps]
print(sum(start % 2**26 == 0 for start, _ in ends))
"""


@only_glibc
def test_threads_share_a_few_arenas():
    """Each would otherwise have one of its own, up to eight a core, and cut up its own memory."""

    def arenas(shared):
        command = [sys.executable, "-c", ARENAS, shared]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert arenas("yes") <= 3 < arenas("no")
