"""Work in a process of its own."""

import os

import pytest

from benchmarks.measuring.child import Child, run_in_child


def adder(first):
    """Made in the child; counts what it was asked."""
    asked = []

    def add(second):
        asked.append(second)
        return os.getpid(), len(asked), first + second

    return add


def test_a_child_answers_again_and_again_in_its_own_process():
    with Child(adder, 3) as child:
        (one, *first), (two, *second) = child.ask(4), child.ask(5)
    assert first == [1, 7] and second == [2, 8] and one == two != os.getpid()


def test_a_function_is_run_once():
    assert run_in_child(sorted, [2, 1]) == [1, 2]


@pytest.mark.parametrize("function, argument", [(os._exit, 7), (int, "no number")], ids=str)
def test_a_child_that_ends_is_an_error(function, argument):
    with pytest.raises(RuntimeError, match="ended with exit code [17]"):
        run_in_child(function, argument)
