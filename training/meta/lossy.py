"""A full disk must not end a run because of a line of its log."""

import tensorflow as tf
from absl import logging

from training.meta.loop import Hook

_SAY_EVERY = 600  # seconds
# What writing to a full or forbidden folder raises, by Python's files and by TensorFlow's.
_ERRORS = (OSError, tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError)


class Lossy:
    """Wraps a hook whose output can be missed (logs, previews).

    Where it can not write, that is logged as an error now and then. Whether the run goes on is
    decided by its checkpoints alone, which meet the same full disk.

    Args:
      hook: the hook.
      what: what it writes, for the message.
    """

    def __init__(self, hook: Hook, what: str):
        self._hook, self._what = hook, what

    def after_step(self, step, metrics):
        """Calls the hook; errors other than those of writing files pass through."""
        try:
            self._hook.after_step(step, metrics)
        except _ERRORS as error:
            self._say(step, error)

    def close(self, step):
        """Likewise."""
        try:
            self._hook.close(step)
        except _ERRORS as error:
            self._say(step, error)

    def _say(self, step: int, error: Exception) -> None:
        logging.log_every_n_seconds(
            logging.ERROR, "step %d: %s can not be written: %s", _SAY_EVERY, step, self._what, error
        )
