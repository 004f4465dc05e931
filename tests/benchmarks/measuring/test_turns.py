"""Calls in turns: their order, what counts, and what is made of the times."""

import time

import pytest

from benchmarks.measuring.turns import in_turns, largest_difference, medians, seconds_of, speedups, time_in_turns


@pytest.mark.parametrize(
    ("alternate", "order", "expected"),
    [(False, "ab ab ab ab", {"a": [3, 5, 7], "b": [4, 6, 8]}), (True, "ba ab ba ab", {"a": [3, 6, 7], "b": [4, 5, 8]})],
)
def test_calls_take_turns_and_the_warm_up_does_not_count(alternate, order, expected):
    called = []

    def call(name):
        called.append(name)
        return len(called)

    found = in_turns({n: lambda n=n: call(n) for n in "ab"}, 3, warm_up=1, alternate=alternate)
    assert "".join(called) == order.replace(" ", "")
    expected = {"a": [3, 5, 7], "b": [4, 6, 8]} if not alternate else {"a": [3, 6, 7], "b": [4, 5, 8]}
    assert found == expected


def test_times_are_those_of_the_call():
    assert seconds_of(lambda: time.sleep(0.02)) == pytest.approx(0.02, abs=0.015)
    times = time_in_turns({"short": lambda: None, "long": lambda: time.sleep(0.02)}, 2)
    assert len(times["short"]) == len(times["long"]) == 2 and min(times["long"]) >= 0.02


def test_medians_and_speedups_by_round():
    seconds = {"plain": [2.0, 4.0, 9.0], "ours": [1.0, 4.0, 3.0]}
    assert medians(seconds, 1e3) == {"plain": 4000, "ours": 3000}
    assert speedups(seconds, "plain") == {"plain": 1, "ours": 2}


def test_the_largest_difference_is_relative_and_of_what_both_report():
    assert largest_difference({"a": 1.1, "b": -2.0}, {"a": 1.0, "b": -2.0, "c": 5.0}) == pytest.approx(0.1)
