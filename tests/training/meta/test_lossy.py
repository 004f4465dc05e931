"""Logs on a disk that fills and is emptied again."""

import errno
import logging

import pytest
import tensorflow as tf

from training.meta.lossy import Lossy


class Log:
    """Fails from step 2 to 4."""

    def __init__(self, error):
        self.error, self.steps, self.closed = error, [], False

    def after_step(self, step, metrics):
        if 2 <= step <= 4:
            raise self.error
        self.steps.append(step)

    def close(self, step):
        self.closed = True
        raise self.error


DISK_FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
]


@pytest.mark.parametrize("error", DISK_FULL)
def test_missed_lines_do_not_end_the_run(error, caplog):
    log = Log(error)
    hook = Lossy(log, "run/metrics.jsonl")
    with caplog.at_level(logging.ERROR):
        for step in range(1, 7):
            hook.after_step(step, {})
        hook.close(6)
    assert log.steps == [1, 5, 6] and log.closed
    # absl remembers what it said lately by the place in the code: at most once here.
    assert len(caplog.records) <= 1
    assert all("run/metrics.jsonl can not be written" in r.getMessage() for r in caplog.records)


def test_errors_of_the_program_are_not_hidden():
    with pytest.raises(KeyError):
        Lossy(Log(KeyError("loss/generator")), "log").after_step(2, {})
