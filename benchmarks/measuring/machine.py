"""What machine a figure comes from."""

import os
import pathlib
import platform


def describe_machine() -> dict:
    """ "cpu" (model), "cores", "memory_gib", "gpus" (names), "tensorflow" (version)."""
    import tensorflow as tf  # not above: most who import this measure in other processes

    details = [
        tf.config.experimental.get_device_details(gpu)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(pages / 2**30, 1),
        "gpus": [entry.get("device_name", "GPU") for entry in details],
        "tensorflow": tf.__version__,
    }


def cpu_model() -> str:
    """The name that Linux gives the CPU, or what Python knows."""
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers itself."""
    information = pathlib.Path("/proc/cpuinfo")
    return information.exists() and "avx512_bf16" in information.read_text()


def machine_line(machine: dict) -> str:
    """One line of text: CPU, cores, memory, GPUs, TensorFlow."""
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {gpus}, "
        f"TensorFlow {machine['tensorflow']}"
    )
