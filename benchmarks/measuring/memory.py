"""Peak memory of this process."""

import pathlib
import resource


def peak_gib() -> float:
    """GiB of resident memory at most so far.

    Linux's own high-water mark: `ru_maxrss` survives exec, so that the child of a large process
    would report its parent's.
    """
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
