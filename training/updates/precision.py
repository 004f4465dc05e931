"""In what type the activations of a training are computed: `--mixed_precision`."""

import tensorflow as tf
from absl import logging

from tf_talking import cpu
from tf_talking.config import SMALL_BUDGETS, Config

AUTO = "auto"
_BFLOAT16_GPU = (8, 0)  # compute capability


def choose_precision(asked: str | None, config: Config) -> str:
    """What `asked` means on this machine; says so in the log, with the CPU's type.

    Args:
      asked: a type, which stays; "auto": bfloat16 where it pays, else float32; None: "auto" for
        the presets for small budgets, float32 for others: the paper's figures are float32.
      config: whose name tells the preset.
    """
    asked = asked or (AUTO if config.name in SMALL_BUDGETS else "float32")
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        logging.info("CPU: %s", cpu.cpu_line())
    if asked != AUTO:
        return asked
    pays = all(_multiplies_bfloat16(gpu) for gpu in gpus) if gpus else cpu.multiplies_bfloat16()
    chosen = "bfloat16" if pays else "float32"
    why = "multiplies" if pays else "would emulate"
    logging.info("mixed precision: %s, this %s %s bfloat16", chosen, "GPU" if gpus else "CPU", why)
    return chosen


def _multiplies_bfloat16(gpu) -> bool:
    details = tf.config.experimental.get_device_details(gpu)
    return details.get("compute_capability", (0, 0)) >= _BFLOAT16_GPU
