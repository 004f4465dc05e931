"""The files of checkpoints in a folder: listing, checking, setting aside. Any tf.io.gfile path.

A checkpoint ckpt-N is ckpt-N.index and ckpt-N.data-*; N is the step. The folder is listed, not the
file named `checkpoint` believed: that one may be lost or older than the newest whole checkpoint.
"""

import os
import re
import shutil

import numpy as np
import tensorflow as tf
from absl import logging

_gfile = tf.io.gfile
# A truncated data file is an IndexError in TensorFlow's reader, other damage an OpError.
READ_ERRORS = (tf.errors.OpError, IndexError, ValueError, RuntimeError, OSError)


def step_of(prefix: str) -> int:
    """N of .../ckpt-N."""
    return int(prefix.rsplit("-", 1)[1])


def prefix_of(folder: str, step: int) -> str:
    """.../ckpt-N."""
    return os.path.join(folder, f"ckpt-{step}")


def list_checkpoints(folder: str) -> list[str]:
    """Prefixes, oldest first. One whose index or data is missing is listed too: it is damaged."""
    if not _gfile.isdir(folder):
        return []
    found = (re.match(r"ckpt-(\d+)\.(?:index|data-\d+-of-\d+)$", n) for n in _gfile.listdir(folder))
    return [prefix_of(folder, step) for step in sorted({int(m.group(1)) for m in found if m})]


def files_of(prefix: str) -> list[str]:
    """The checkpoint's files, whole or not."""
    return sorted(_gfile.glob(f"{prefix}.index") + _gfile.glob(f"{prefix}.data-*"))


def size_of(prefix: str) -> int:
    """Bytes."""
    return sum(_gfile.stat(path).length for path in files_of(prefix))


def problem_with(prefix: str) -> str | None:
    """None where every value can be read and every float is finite, else what is wrong.

    Reads the whole checkpoint once, with its checksums, a tensor at a time.
    """
    data = _gfile.glob(f"{prefix}.data-*")
    if not _gfile.exists(f"{prefix}.index"):
        return f"{prefix}.index is missing"
    if not data:
        return f"{prefix}.data-* is missing"
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(prefix)
        for name in sorted(reader.get_variable_to_shape_map()):
            value = np.asarray(reader.get_tensor(name))
            if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
                return f"{prefix}: {name} is not finite"
    except READ_ERRORS as error:
        sizes = ", ".join(f"{path} ({_gfile.stat(path).length} bytes)" for path in files_of(prefix))
        return f"{sizes}: truncated or damaged: {error}"
    return None


def newest_readable(folder: str) -> tuple[str | None, dict[str, str]]:
    """The newest checkpoint that `problem_with` finds nothing wrong with, and newer ones.

    Returns:
      (its prefix or None, prefix -> what is wrong with each damaged one, the newest first).
    """
    damaged = {}
    for prefix in reversed(list_checkpoints(folder)):
        problem = problem_with(prefix)
        if problem is None:
            return prefix, damaged
        logging.warning("checkpoint %s can not be used: %s", prefix, problem)
        damaged[prefix] = problem
    return None, damaged


def set_aside(prefix: str) -> None:
    """Renames a damaged checkpoint's files to unreadable-ckpt-N.*: out of the way, not lost."""
    folder, name = os.path.split(prefix)
    for path in files_of(prefix):
        suffix = os.path.basename(path)[len(name) :]
        target = os.path.join(folder, f"unreadable-{name}{suffix}")
        _gfile.rename(path, target, overwrite=True)


def remove(prefix: str) -> None:
    """Deletes a checkpoint, its index first: without one it can not be taken for a whole one."""
    for path in reversed(files_of(prefix)):
        _gfile.remove(path)


def remove_half_written(folder: str) -> None:
    """Deletes what a save that was killed or failed left behind: ckpt-N_temp/, *.tempstate*."""
    for name in _gfile.listdir(folder) if _gfile.isdir(folder) else ():
        path = os.path.join(folder, name.rstrip("/"))  # object stores list folders with a slash
        if re.match(r"ckpt-\d+_temp/?$", name):
            _gfile.rmtree(path)
        elif ".tempstate" in name or name == "checkpoint.new":
            _gfile.remove(path)


def write_state(folder: str, prefixes: list[str]) -> None:
    """The file that tf.train.latest_checkpoint reads, replaced in one go; relative names, so that
    the folder can be moved."""
    names = [os.path.basename(prefix) for prefix in prefixes]
    lines = [f'model_checkpoint_path: "{names[-1]}"']
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
    temporary = os.path.join(folder, "checkpoint.new")  # `files` knows local paths only
    with _gfile.GFile(temporary, "w") as file:
        file.write("\n".join(lines) + "\n")
    _gfile.rename(temporary, os.path.join(folder, "checkpoint"), overwrite=True)


def free_bytes(folder: str) -> int | None:
    """Free space where `folder` is; None where that can not be asked (gs:// and the like)."""
    return None if "://" in folder else shutil.disk_usage(folder).free
