"""The logs of a run, also after a kill and on a disk that fills and is emptied again."""

import errno
import json

import pytest
import tensorflow as tf
from absl import logging

from training.meta.logs import Lossy, ProgressLine, ScalarLog


def test_scalars_go_to_jsonl_and_tensorboard(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path / "tensorboard"))
    log = ScalarLog(writer, tmp_path / "metrics.jsonl", every=2)
    for step in range(1, 5):
        log.after_step(step, {"loss/match": tf.constant(float(step))})
    log.close(4)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss/match"]) for line in lines] == [(2, 2.0), (4, 4.0)]
    assert lines[1]["speed/steps_per_second"] > 0
    events = next((tmp_path / "tensorboard").iterdir())
    read = tf.compat.v1.train.summary_iterator(str(events))
    assert "loss/match" in {value.tag for event in read for value in event.summary.value}


def test_progress_line_follows_a_rollback():
    line = ProgressLine(0, 10, shown=[])
    for step in (1, 2, 3, 1, 2):
        line.after_step(step, {})
    assert line._bar.n == 2
    line.close(2)


def test_log_after_a_kill_has_whole_lines_of_json_only(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    writer = tf.summary.create_noop_writer()
    log = ScalarLog(writer, path, every=1)
    log.add({"watch/swap": 0.5})
    log.after_step(2, {"loss": float("nan")})
    log.after_step(3, {"loss": 1.0})
    log.close(3)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert lines[1]["loss"] is None and lines[1]["watch/swap"] == 0.5
    assert "watch/swap" not in lines[2]


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
def test_missed_lines_do_not_end_the_run_and_are_told(error, monkeypatch):
    told = []
    monkeypatch.setattr(logging, "log_every_n_seconds", lambda level, text, _, *args: told.append((level, text % args)))
    log = Log(error)
    hook = Lossy(log, "run/metrics.jsonl")
    for step in range(1, 7):
        hook.after_step(step, {})
    hook.close(6)
    assert log.steps == [1, 5, 6] and log.closed
    assert [level for level, _ in told] == [logging.ERROR] * 4
    for (_, text), step in zip(told, (2, 3, 4, 6), strict=True):
        assert text.startswith(f"step {step}: run/metrics.jsonl can not be written:") and "No space left" in text


def test_errors_of_the_program_are_not_hidden():
    with pytest.raises(KeyError):
        Lossy(Log(KeyError("loss/generator")), "log").after_step(2, {})
