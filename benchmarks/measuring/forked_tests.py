"""Tests run in forks of this process, which has what they import: a run costs no import.

A fork can be given another source for one module of the project, which then is imported by the
tests and by all that they import. Programs that tests start see the module's file as it is.
"""

import dataclasses
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable, Iterable

_OURS = ("tf_talking", "training", "serving", "tests")
_PAUSE = 0.05  # seconds between looks at what runs
PASSED = 0  # of pytest's exit codes


@dataclasses.dataclass(frozen=True)
class Job:
    """A run of tests.

    Attributes:
      key: tells jobs apart.
      tests: files or node ids.
      seconds: longest time that it may take.
      changed: a module's file and its other source; None: as it is.
    """

    key: object
    tests: tuple[str, ...]
    seconds: float
    changed: tuple[pathlib.Path, str] | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
      code: pytest's exit code, or minus the signal that ended it; None: it took too long.
      seconds: that it took.
    """

    code: int | None
    seconds: float


def preload() -> None:
    """Imports what all tests import, and nothing of ours. Starts no thread."""
    import cv2  # noqa: F401
    import keras  # noqa: F401
    import pytest  # noqa: F401
    import tensorflow  # noqa: F401
    import tensorflow_addons  # noqa: F401


def run(jobs: Iterable[Job], at_once: int, log: pathlib.Path, done: Callable[[Job, Outcome], None]) -> None:
    """Runs all jobs, `at_once` at a time; `log` holds what the last one printed."""
    waiting, running = list(jobs)[::-1], {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.pop()
                running[_start(job, log)] = (job, time.monotonic())
            time.sleep(_PAUSE)
            for pid, (job, start) in list(running.items()):
                seconds = time.monotonic() - start
                late = seconds > job.seconds
                if late:
                    os.killpg(pid, signal.SIGKILL)
                ended, status = os.waitpid(pid, 0 if late else os.WNOHANG)
                if ended:
                    del running[pid]
                    done(job, Outcome(None if late else os.waitstatus_to_exitcode(status), seconds))
    finally:
        for pid in running:
            os.killpg(pid, signal.SIGKILL)


def _start(job: Job, log: pathlib.Path) -> int:
    pid = os.fork()
    if pid:
        try:
            os.setpgid(pid, pid)  # here as well: it may have to be killed before it has run
        except OSError:
            pass  # it has done so itself, or ended
        return pid
    code = 70
    try:
        os.setpgid(0, 0)
        code = _run_here(job, log)
    finally:
        os._exit(code)


def _run_here(job: Job, log: pathlib.Path) -> int:
    import pytest

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    if job.changed is not None:
        sys.meta_path.insert(0, _Changed(*job.changed))
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *job.tests]))


class _Changed(importlib.abc.MetaPathFinder):
    """Finds one module, with another source."""

    def __init__(self, path: pathlib.Path, source: str):
        self._name = ".".join(path.with_suffix("").parts)
        self._path, self._source = path.resolve(), source

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self._name:
            return None
        return importlib.util.spec_from_loader(fullname, _Loader(fullname, str(self._path), self._source))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str):
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname):
        return compile(self._source, self.path, "exec", dont_inherit=True)
