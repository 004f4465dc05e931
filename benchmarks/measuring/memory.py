"""Memory of processes."""

import pathlib
import resource


def peak_gib() -> float:
    """GiB of resident memory that this process had at most so far.

    Linux's own high-water mark: `ru_maxrss` survives exec, so that the child of a large process
    would report its parent's.
    """
    try:
        return _status("self", "VmHWM") / 2**20
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def resident_mib(process: int | str = "self") -> float:
    """MiB of resident memory of a process now (Linux)."""
    return _status(process, "VmRSS") / 2**10


def _status(process: int | str, name: str) -> int:
    """A figure in KiB."""
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"no {name} in /proc/{process}/status")
