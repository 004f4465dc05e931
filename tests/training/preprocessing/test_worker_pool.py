import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

from training.preprocessing.worker_pool import WorkerPool

WORK = """
import os, time
def start(folder):
    global FOLDER
    FOLDER = folder
def work(item):
    if item == "kill":
        os.abort()
    if item == "raise":
        raise ValueError("bad item")
    if item == "sleep":
        open(os.path.join(FOLDER, str(os.getpid())), "w").close()
        time.sleep(60)
    return item.upper()
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "pool_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    import pool_work

    yield pool_work
    del sys.modules["pool_work"]


def test_all_units_are_done_and_polled(work, tmp_path):
    polls = []
    pool = WorkerPool(2, work.work, work.start, (str(tmp_path),))
    units = [["a", "b"], ["c"], ["d", "e"], ["f"], ["g"]]
    results = list(pool.run(units, None, lambda: polls.append(1)))
    assert sorted(results) == [["A", "B"], ["C"], ["D", "E"], ["F"], ["G"]]
    assert polls


def test_only_the_item_that_kills_its_process_is_given_up(work, tmp_path):
    pool = WorkerPool(1, work.work, work.start, (str(tmp_path),))
    units = [["a"], ["b", "kill", "c"], ["d"], ["e"], ["f"]]
    results = sorted(pool.run(units, lambda item: f"gave up {item}"))
    assert results == [["A"], ["B", "gave up kill", "C"], ["D"], ["E"], ["F"]]


def test_a_unit_that_a_broken_pool_does_not_take_is_not_lost(work, tmp_path, monkeypatch):
    """A process may die between two looks at the pool: it is then found when more is handed in."""
    pool = WorkerPool(1, work.work, work.start, (str(tmp_path),))
    first = pool._executor(1)
    submit, calls = first.submit, []

    def breaks(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise BrokenProcessPool
        return submit(*arguments)

    first.submit = breaks
    make, made = WorkerPool._executor, []

    def executor(self, workers):
        made.append(workers)
        return first if len(made) == 1 else make(self, workers)

    monkeypatch.setattr(WorkerPool, "_executor", executor)
    assert sorted(pool.run([["a"], ["b", "c"], ["d"]], None)) == [["A"], ["B", "C"], ["D"]]
    assert len(calls) == 2 and len(made) > 1


def test_errors_of_the_work_are_raised(work, tmp_path):
    pool = WorkerPool(1, work.work, work.start, (str(tmp_path),))
    with pytest.raises(ValueError, match="bad item"):
        list(pool.run([["raise"]], None))


def test_workers_end_with_a_killed_parent(work, tmp_path, repo_root):
    started = tmp_path / "started"
    started.mkdir()
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import pool_work\n"
        "from training.preprocessing.worker_pool import WorkerPool\n"
        "if __name__ == '__main__':\n"
        "    pool = WorkerPool(1, pool_work.work, pool_work.start, (sys.argv[2],))\n"
        "    list(pool.run([['sleep']], None))\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(repo_root)!r})\n{code}")
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path), str(started)])
    try:
        worker = _wait_for(lambda: [int(path.name) for path in started.iterdir()])[0]
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert _wait_for(lambda: not _alive(worker))


def _wait_for(condition, seconds: float = 30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def _alive(process: int) -> bool:
    """Whether it runs; a zombie that nobody collects in a container does not."""
    try:
        os.kill(process, 0)
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
