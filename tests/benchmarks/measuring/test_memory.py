"""Memory of processes."""

import os

import numpy as np

from benchmarks.measuring.memory import peak_gib, resident_mib


def test_the_peak_stays_when_memory_is_given_back():
    before = resident_mib(os.getpid())
    block = np.ones(200 * 2**17)  # 200 MiB
    assert resident_mib() > before + 150
    del block
    assert peak_gib() * 1024 > before + 150
