"""Why a run ends before its last step, each reason with the exit code of the program."""


class RunFailed(RuntimeError):
    """The run can not go on; its newest whole checkpoint is left as it is."""

    exit_code = 1


class NotSaved(RunFailed):
    """No checkpoint could be written: disk full, no permission, storage gone."""

    exit_code = 3


class Diverged(RunFailed):
    """Losses or weights are not finite, and going back to a good checkpoint did not help."""

    exit_code = 4


class Collapsed(RunFailed):
    """The watchdog raised an alarm that the run was told to stop on."""

    exit_code = 5
