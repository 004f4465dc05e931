"""What machine a figure comes from."""

import os

from tf_talking.cpu import cpu_model, instruction_sets, onednn


def describe_machine() -> dict:
    """ "cpu" (model), "cores", "instruction_sets" (names), "onednn" (on or off), "memory_gib",
    "gpus" (names), "tensorflow" (version)."""
    import tensorflow as tf  # not above: most who import this measure in other processes

    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "instruction_sets": instruction_sets(),
        "onednn": onednn(),
        "memory_gib": round(pages / 2**30, 1),
        "gpus": [entry.get("device_name", "GPU") for entry in details],
        "tensorflow": tf.__version__,
    }


def machine_line(machine: dict) -> str:
    """One line of text: CPU, cores, instruction sets, memory, GPUs, TensorFlow, oneDNN."""
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    return (
        f"{machine['cpu']}, {machine['cores']} cores ({' '.join(machine['instruction_sets'])}), "
        f"{machine['memory_gib']} GiB, {gpus}, TensorFlow {machine['tensorflow']}, "
        f"oneDNN {machine['onednn']}"
    )
