"""In processes of their own: how they end when they are interrupted."""

import signal
import subprocess
import sys
import time

import pytest

BEGIN = "import sys, time; sys.path.insert(0, '.'); from tf_talking import interrupts; interrupts.catch()\n"
SWALLOWED = "try: print('ready', flush=True); time.sleep(30)\nexcept BaseException: time.sleep(30)\n"
WRITING = (
    "from tf_talking import files\n"
    "interrupts.GRACE_SECONDS = 0.5; interrupts.main_begins()\n"
    "with files.whole_file({path!r}) as temporary:\n"
    "    temporary.write_text('half')\n"
)


def interrupted(repo_root, code: str) -> tuple[int, str, float]:
    """Exit code, stderr and the seconds that it took to end."""
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, cwd=repo_root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors, time.monotonic() - start


def test_an_import_that_swallows_it_does_not_go_on(repo_root):
    code, errors, seconds = interrupted(repo_root, BEGIN + SWALLOWED)
    assert (code, errors) == (130, "interrupted\n") and seconds < 10


def test_what_does_not_end_in_good_order_is_ended_and_leaves_nothing(repo_root, tmp_path):
    writing = WRITING.format(path=str(tmp_path / "out.mp4"))
    indented = "".join(f"    {line}\n" for line in SWALLOWED.splitlines())
    code, errors, seconds = interrupted(repo_root, BEGIN + writing + indented)
    assert (code, errors) == (130, "interrupted\n") and 0.4 < seconds < 10
    assert list(tmp_path.iterdir()) == []


def test_the_usual_case_is_python_s_own(repo_root):
    code = BEGIN + "interrupts.main_begins()\ntry:\n    print('ready', flush=True)\n    time.sleep(30)\n"
    code += "except KeyboardInterrupt: sys.exit(7)\n"
    assert interrupted(repo_root, code)[0] == 7


@pytest.mark.parametrize("ignored", [True, False])
def test_where_it_is_ignored_it_stays_so(repo_root, ignored):
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" if ignored else ""
    code += BEGIN + "print('ready', flush=True); time.sleep(1); sys.exit(9)"
    assert interrupted(repo_root, code)[0] == (9 if ignored else 130)
