"""Checkpoints that can be relied on: never of broken weights, never half of one, never lost.

* Before a save every float variable must be finite, and the disk must have room for it.
* A save that fails leaves the older checkpoints as they are and nothing half-written. It is tried
  again at the next checkpoint, since a full disk is often emptied by others in the meantime and
  the weights are only in memory; after `max_failures` in a row the run ends, for it would go on
  for nothing. `unsaved` says at the end whether the last save failed.
* Before a restore the newest checkpoint is read completely. A damaged one is set aside, and the
  one before it is taken. Nothing readable, where there are checkpoints, is an error, never a
  silent start from step 0.
* Restoring is strict: every variable of the run and of the checkpoint must match.
"""

import errno
from collections.abc import Iterable

import tensorflow as tf
from absl import logging

from tf_talking.networks import checkpoint_files as files
from training.runs.devices import checkpoint_folder, is_chief
from training.runs.ends import NotSaved


class NotFinite(ValueError):
    """A variable holds NaN or infinity; nothing was written."""


class SafeCheckpoints:
    """Checkpoints ckpt-N of one run.

    Args:
      checkpoint: what is saved.
      folder: any path that tf.io.gfile knows; created by the first save.
      max_to_keep: newest checkpoints kept.
      strategy: only its chief writes; None: the current one.
      max_failures: saves in a row that may fail before the run ends.

    Attributes:
      unsaved: why the newest save failed, or "".
    """

    def __init__(
        self,
        checkpoint: tf.train.Checkpoint,
        folder,
        max_to_keep: int = 3,
        strategy: tf.distribute.Strategy | None = None,
        max_failures: int = 3,
    ):
        if max_to_keep < 1 or max_failures < 1:
            raise ValueError(f"got max_to_keep {max_to_keep}, max_failures {max_failures}; expected at least 1")
        strategy = strategy or tf.distribute.get_strategy()
        self.checkpoint, self.folder = checkpoint, str(folder)
        self._own_folder = checkpoint_folder(strategy, self.folder)
        self._is_chief = is_chief(strategy)
        self._max_to_keep, self._max_failures = max_to_keep, max_failures
        self._variables = variables_of(checkpoint)
        self._finite = tf.function(lambda: [_is_finite(v) for v in self._floats])
        self._failures = 0
        self.unsaved = ""

    @property
    def checkpoints(self) -> list[str]:
        """Prefixes in the folder, oldest first."""
        return files.list_checkpoints(self.folder)

    @property
    def latest(self) -> str | None:
        """The newest prefix, unchecked."""
        return (self.checkpoints or [None])[-1]

    @property
    def _floats(self) -> list[tf.Variable]:
        return [v for v in self._variables if v.dtype.is_floating]

    def restore_newest(self) -> str | None:
        """Restores the newest readable checkpoint; returns its prefix, or None: there are none.

        Raises:
          ValueError: there are checkpoints and none is readable, or the one that is does not
            match the run's variables.
        """
        prefix, damaged = files.newest_readable(self.folder)
        if damaged and prefix is None:
            raise ValueError(
                f"{self.folder}: none of its {len(damaged)} checkpoints can be read; move the "
                "folder away to start from the beginning"
            )
        self._leave_behind(damaged)
        if prefix is not None:
            self.restore(prefix)
        return prefix

    def restore(self, prefix: str) -> None:
        """Restores one checkpoint. Raises ValueError where a variable does not match."""
        try:
            self.checkpoint.restore(prefix).assert_consumed()
        except (AssertionError, *files.READ_ERRORS) as error:
            raise ValueError(f"{prefix}: can not be restored into this run: {error}") from error

    def last_good(self) -> str | None:
        """The newest readable prefix; damaged ones that are newer are set aside."""
        good, damaged = files.newest_readable(self.folder)
        if good:
            self._leave_behind(damaged)
        return good

    def _leave_behind(self, damaged: Iterable[str]) -> None:
        if not self._is_chief:
            return
        files.remove_half_written(self.folder)
        for prefix in damaged:
            logging.warning("%s: set aside as unreadable-%s.*", prefix, prefix.rsplit("/", 1)[-1])
            files.set_aside(prefix)
        if damaged:
            files.write_state(self.folder, self.checkpoints)

    def save(self, step: int) -> str | None:
        """Writes ckpt-`step` and deletes the oldest ones. Returns its prefix, None where it failed.

        Raises:
          NotFinite: a variable is not finite; names some.
          NotSaved: this was the last failure in a row that is borne.
        """
        self._check_finite()
        if not self._is_chief:
            self._save_along(step)
            return None
        prefix = files.prefix_of(self.folder, step)
        existed = bool(files.files_of(prefix))
        try:
            tf.io.gfile.makedirs(self.folder)
            self._check_space()
            self._write(prefix)
            kept = self.checkpoints
            files.write_state(self.folder, kept[-self._max_to_keep :])
            for old in kept[: -self._max_to_keep]:
                files.remove(old)
        except (OSError, tf.errors.OpError) as error:
            self._clean_up(prefix, existed)
            self._failed(prefix, error)
            return None
        self._failures, self.unsaved = 0, ""
        return prefix

    def _write(self, prefix: str) -> None:
        self.checkpoint.save_counter.assign_add(1)  # part of every checkpoint of tf.train
        self.checkpoint.write(prefix)

    def _save_along(self, step: int) -> None:
        """A worker that is not the chief: takes part in saving, keeps nothing."""
        try:
            tf.io.gfile.makedirs(self._own_folder)
            self._write(files.prefix_of(self._own_folder, step))
        except (OSError, tf.errors.OpError) as error:
            logging.warning("%s: %s", self._own_folder, error)
        finally:
            if tf.io.gfile.exists(self._own_folder):
                tf.io.gfile.rmtree(self._own_folder)

    def _check_finite(self) -> None:
        flags = self._finite()
        bad = [v.name for v, ok in zip(self._floats, flags, strict=True) if not bool(ok)]
        if bad:
            raise NotFinite(f"{len(bad)} of {len(flags)} variables are not finite ({', '.join(bad[:3])}); not saved")

    def _check_space(self) -> None:
        free = files.free_bytes(self.folder)
        needed = sum(v.shape.num_elements() * v.dtype.size for v in self._variables)
        latest = self.latest
        needed = max(needed, files.size_of(latest) if latest else 0)
        if free is not None and free < needed:
            raise OSError(errno.ENOSPC, f"a checkpoint needs {_mib(needed)}, free are {_mib(free)}")

    def _clean_up(self, prefix: str, existed: bool) -> None:
        try:
            files.remove_half_written(self.folder)
            if not existed and files.problem_with(prefix):
                files.remove(prefix)
        except (OSError, tf.errors.OpError) as error:
            logging.warning("%s: half-written files may be left: %s", self.folder, error)

    def _failed(self, prefix: str, error: Exception) -> None:
        self._failures += 1
        try:
            free = files.free_bytes(self.folder)
        except OSError:
            free = None
        self.unsaved = (
            f"{prefix}: not saved ({error}); folder {self.folder}, free space "
            f"{'unknown' if free is None else _mib(free)}, newest checkpoint "
            f"{self.latest or 'none'}"
        )
        if self._failures >= self._max_failures:
            raise NotSaved(f"{self.unsaved}; {self._failures} saves in a row failed") from error
        logging.error(
            "%s; training goes on and tries again at the next checkpoint (failure %d of %d)",
            self.unsaved,
            self._failures,
            self._max_failures,
        )


def variables_of(checkpoint: tf.train.Checkpoint) -> list[tf.Variable]:
    """Every numeric variable that the checkpoint saves, optimisers' moments included."""
    nodes = tf.train.TrackableView(checkpoint).descendants()
    found = {id(node): node for node in nodes if isinstance(node, tf.Variable)}
    return [v for v in found.values() if v.dtype.is_floating or v.dtype.is_integer]


def _is_finite(variable: tf.Variable) -> tf.Tensor:
    # By the sum: NaN and infinity stay in it, and no room of the variable's own size is needed.
    return tf.math.is_finite(tf.reduce_sum(tf.cast(variable, tf.float32)))


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
