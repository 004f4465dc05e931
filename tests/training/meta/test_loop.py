"""The loop: order of hooks, stopping between steps."""

import os
import signal

import pytest

from training.meta.loop import STOP, AgreedStop, Every, StopRequest, run_loop
from training.runs.survival import RolledBack


def one_step(action):
    """A step function of the loop: action(number of the step) → scalars."""
    return lambda done: (1, action(done + 1) or {})


def test_hooks_see_every_step_and_actions_run_at_the_end_too():
    done = []
    with StopRequest() as stop:
        last = run_loop(
            one_step(lambda step: {"loss": float(step)}),
            start=3,
            stop=8,
            hooks=[Every(2, done.append)],
            stop_request=stop,
        )
    assert last == 8 and done == [4, 6, 8]


def test_signal_stops_after_the_step_under_way_and_saves():
    done = []

    def step(number):
        if number == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with StopRequest() as stop:
        last = run_loop(one_step(step), 0, 100, [Every(50, done.append)], stop)
    assert last == 3 and done == [3]
    assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # handed back


def test_a_crash_does_not_run_the_closing_actions():
    done = []

    def step(number):
        raise FloatingPointError("broken step")

    with StopRequest() as stop, pytest.raises(FloatingPointError):
        run_loop(one_step(step), 0, 5, [Every(1, done.append)], stop)
    assert done == []


def test_several_steps_in_one_call():
    done = []
    calls = iter([3, 3, 2])
    with StopRequest() as stop:
        last = run_loop(lambda step: (next(calls), {}), 0, 8, [Every(3, done.append)], stop)
    assert last == 8 and done == [3, 6, 8]


def test_rollback_goes_on_from_its_step_and_hides_the_broken_one():
    seen, broken = [], [4]

    class RollBack:
        def after_step(self, step, metrics):
            if step in broken:
                broken.remove(step)
                raise RolledBack(2, "broken")

        def close(self, step):
            pass

    with StopRequest() as stop:
        last = run_loop(one_step(lambda _: {}), 0, 5, [RollBack(), Every(1, seen.append)], stop)
    assert last == 5 and seen == [1, 2, 3, 3, 4, 5]


def test_workers_stop_where_the_step_says_so_and_not_at_their_own_signal():
    def step(number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return {STOP: 0.5 if number == 4 else 0.0}

    with AgreedStop() as stop:
        assert run_loop(one_step(step), 0, 10, [], stop) == 4
    assert stop.signal == signal.SIGTERM
