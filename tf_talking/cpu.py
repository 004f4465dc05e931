"""What this machine's CPU is and what it computes itself. Imports no TensorFlow."""

import os
import pathlib
import platform

# Those that decide how fast TensorFlow is here, in the order of /proc/cpuinfo's own history.
INSTRUCTION_SETS = ("avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
INFORMATION = pathlib.Path("/proc/cpuinfo")
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def _information(name: str) -> str:
    """The first value that Linux gives for a name; "" where it says nothing."""
    file = INFORMATION
    for line in file.read_text().splitlines() if file.exists() else ():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def cpu_model() -> str:
    """The name that Linux gives the CPU, or what Python knows."""
    return _information("model name") or platform.processor() or platform.machine()


def instruction_sets() -> list[str]:
    """Those of `INSTRUCTION_SETS` that the CPU has."""
    flags = _information("flags").split()
    return [name for name in INSTRUCTION_SETS if name in flags]


def onednn() -> str:
    """Whether TensorFlow computes with oneDNN: "on", or "off"; with a limit that was set for it."""
    if os.environ.get(ONEDNN, "1").lower() in ("0", "false"):
        return "off"
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return f"on, at most {limit}" if limit not in ("", "ALL", "DEFAULT") else "on"


def multiplies_bfloat16() -> bool:
    """Whether bfloat16 is faster than float32: by instructions of the CPU that oneDNN may use.

    Without them it is emulated, and slower.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    may = limit in ("", "ALL", "DEFAULT") or "BF16" in limit or "AMX" in limit
    has = {"avx512_bf16", "amx_bf16"} & set(instruction_sets())
    return bool(has) and may and onednn() != "off"


def cpu_line() -> str:
    """One line for a log: name, cores, instruction sets, oneDNN."""
    cores, sets = len(os.sched_getaffinity(0)), " ".join(instruction_sets())
    return f"{cpu_model()}, {cores} cores ({sets or 'instruction sets unknown'}), oneDNN {onednn()}"
