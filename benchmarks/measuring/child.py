"""Work in a process of its own, with a memory, threads and a TensorFlow of its own."""

import functools
import multiprocessing
from collections.abc import Callable

_SPAWN = multiprocessing.get_context("spawn")


class Child:
    """A process that makes a function and calls it whenever it is asked.

    Args:
      make: called in the process, returns the function.
      *arguments: of `make`. They, questions and answers are pickled.
    """

    def __init__(self, make: Callable, *arguments):
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_answer, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()  # or its end would not be noticed

    def ask(self, *question):
        """What the function returns for these arguments. Raises RuntimeError where it ended."""
        try:
            self._pipe.send(question)
            return self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            raise RuntimeError(f"a child process ended with exit code {self._process.exitcode}") from None

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def run_in_child(function: Callable, *arguments):
    """What the function returns, run in a process of its own. Raises RuntimeError if it fails."""
    with Child(functools.partial, function, *arguments) as child:
        return child.ask()


def _answer(pipe, make: Callable, arguments: tuple) -> None:
    function = make(*arguments)
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        pipe.send(function(*question))
