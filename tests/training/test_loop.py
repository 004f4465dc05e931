"""The loop: order of hooks, stopping between steps, logs."""

import itertools
import json
import os
import signal

import pytest
import tensorflow as tf

from training.loop import Every, ScalarLog, StopRequest, run_loop


def test_hooks_see_every_step_and_actions_run_at_the_end_too():
    done = []
    with StopRequest() as stop:
        last = run_loop(
            lambda batch: {"loss": tf.constant(float(batch))},
            itertools.count(),
            start=3,
            stop=8,
            hooks=[Every(2, done.append)],
            stop_request=stop,
        )
    assert last == 8 and done == [4, 6, 8]


def test_signal_stops_after_the_step_under_way_and_saves():
    done = []

    def step(batch):
        if batch == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return {}

    with StopRequest() as stop:
        last = run_loop(step, itertools.count(), 0, 100, [Every(50, done.append)], stop)
    assert last == 3 and done == [3]
    assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # handed back


def test_a_crash_does_not_run_the_closing_actions():
    done = []

    def step(batch):
        raise FloatingPointError("broken step")

    with StopRequest() as stop, pytest.raises(FloatingPointError):
        run_loop(step, itertools.count(), 0, 5, [Every(1, done.append)], stop)
    assert done == []


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
