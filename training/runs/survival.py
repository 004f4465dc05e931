"""Keeps a run alive: saves it, and takes it back to a good checkpoint when it breaks.

The step skips updates whose loss or gradients are not finite and counts them. A few are bad luck;
`max_skipped` in a row mean that the weights themselves have gone where everything overflows. Then
the newest good checkpoint is restored and training goes on with the episodes that come next, not
with those that led there: the same episodes on the same weights would end the same way. Going back
to one and the same checkpoint again and again is no progress, and ends the run.
"""

import enum
from collections.abc import Callable, Collection, Mapping

import tensorflow as tf
from absl import logging

from tf_talking.networks.checkpoint_files import step_of
from training.runs.checkpoints import NotFinite, SafeCheckpoints
from training.runs.ends import Diverged

IN_A_ROW = "skipped/in_a_row"


class RolledBack(Exception):
    """Not an error: the loop goes on after `step`, the step of the checkpoint restored."""

    def __init__(self, step: int, reason: str):
        super().__init__(reason)
        self.step = step


class Verdict(enum.Enum):
    ROLL_BACK = "roll back"
    GIVE_UP = "give up"


class SkipPolicy:
    """When to go back and when to give up. Plain Python, no TensorFlow.

    Args:
      max_skipped: updates skipped in a row that are borne.
      max_rollbacks: returns to one and the same checkpoint.
    """

    def __init__(self, max_skipped: int = 20, max_rollbacks: int = 3):
        if max_skipped < 1 or max_rollbacks < 0:
            raise ValueError(f"got max_skipped {max_skipped}, max_rollbacks {max_rollbacks}; expected at least 1 and 0")
        self.max_skipped, self.max_rollbacks = max_skipped, max_rollbacks
        self._target, self._rollbacks = None, 0

    def too_many(self, in_a_row: float) -> bool:
        """Whether so many updates skipped in a row call for a rollback."""
        return in_a_row >= self.max_skipped

    def judge(self, good_step: int | None) -> Verdict:
        """What to do about a broken state, the newest good checkpoint being of `good_step`.

        Counts: call it once for each broken state. A newer good checkpoint than the last time is
        progress, and the count starts again.
        """
        if good_step is None:
            return Verdict.GIVE_UP
        if good_step != self._target:
            self._target, self._rollbacks = good_step, 0
        self._rollbacks += 1
        return Verdict.GIVE_UP if self._rollbacks > self.max_rollbacks else Verdict.ROLL_BACK


class Survival:
    """Hook of the training loop: saves every `every` steps, rolls back when it must.

    Put it before hooks that read or draw the networks.

    Args:
      checkpoints: where they are saved.
      every: steps between two checkpoints.
      restored: () -> step; called after a checkpoint was restored, makes the trainer go on from it
        (sets the count of skipped updates to 0).
      keep: variables that a rollback leaves alone: the number of episodes drawn, since the stream
        of episodes goes on.
      policy: limits.
      check_every: steps between two reads of the count: each makes the host wait for the device.
    """

    def __init__(
        self,
        checkpoints: SafeCheckpoints,
        every: int,
        restored: Callable[[], int],
        keep: Collection[tf.Variable] = (),
        policy: SkipPolicy | None = None,
        check_every: int = 10,
    ):
        self._checkpoints, self._every, self._restored = checkpoints, every, restored
        self._keep, self._policy = keep, policy or SkipPolicy()
        self._check_every = check_every
        self._saved = None

    def after_step(self, step: int, metrics: Mapping[str, tf.Tensor]) -> None:
        """Raises:
        RolledBack: a checkpoint was restored; go on after its step.
        Diverged: going back did not help, or there is nothing to go back to.
        NotSaved: saves in a row failed.
        """
        if step % self._check_every == 0 and IN_A_ROW in metrics:
            in_a_row = float(metrics[IN_A_ROW])
            if self._policy.too_many(in_a_row):
                self.roll_back(step, f"{in_a_row:.0f} updates in a row were not finite")
        if step % self._every == 0:
            self._save(step)

    def close(self, step: int) -> None:
        """The last save. One that fails is in `checkpoints.unsaved`: the run has to say so."""
        if self._saved == step:
            return
        try:
            self._checkpoints.save(step)
        except NotFinite as error:
            self._checkpoints.unsaved = f"step {step}: {error}"
            logging.error("%s", self._checkpoints.unsaved)

    def _save(self, step: int) -> None:
        try:
            self._checkpoints.save(step)
            if not self._checkpoints.unsaved:
                self._saved = step
        except NotFinite as error:
            self.roll_back(step, str(error))

    def roll_back(self, step: int, reason: str) -> None:
        """Restores the newest good checkpoint. Raises RolledBack, or Diverged."""
        prefix = self._checkpoints.last_good()
        good_step = None if prefix is None else step_of(prefix)
        if self._policy.judge(good_step) is Verdict.GIVE_UP:
            why = (
                "there is no checkpoint to go back to"
                if prefix is None
                else f"going back to {prefix} {self._policy.max_rollbacks} times did not help"
            )
            raise Diverged(
                f"step {step}: {reason}, and {why}; try a lower train.learning_rate, bfloat16 or "
                "float32 instead of float16, and look at the data of these steps"
            )
        kept = [variable.numpy() for variable in self._keep]
        self._checkpoints.restore(prefix)
        for variable, value in zip(self._keep, kept, strict=True):
            variable.assign(value)
        back = self._restored()
        message = f"{reason}; went back from step {step} to step {back} ({prefix})"
        logging.warning("%s", message)
        self._saved = back
        raise RolledBack(back, message)
