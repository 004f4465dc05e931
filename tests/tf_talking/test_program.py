import json
import subprocess
import sys
import textwrap

import pytest

COMMAND = """
    from absl import app, flags
    from tf_talking import program

    FLAGS = flags.FLAGS

    def define_flags():
        flags.DEFINE_string("dataset", None, "What is read.", required=True)

    class Diverged(RuntimeError):
        exit_code = 4

    def main(argv):
        {body}

    if __name__ == "__main__":
        program.run(main, define_flags{options})
"""


@pytest.fixture
def command(tmp_path, repo_root):
    def run(body, *arguments, options=""):
        text = textwrap.dedent(COMMAND).format(body=body, options=options)
        (tmp_path / "command.py").write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "command", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": f"{repo_root}:{tmp_path}"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("raise ValueError('--size: got 3')", 2, "command: --size: got 3"),
        ("open('/no/file')", 2, "command: [Errno 2] No such file or directory: '/no/file'"),
        ("raise app.UsageError('give --run')", 2, "command: give --run"),
        ("raise Diverged('step 3')", 4, "command: step 3"),
        ("raise KeyboardInterrupt", 130, "command: interrupted"),
        ("return program.fail('nothing accepted', 1)", 1, "command: nothing accepted"),
    ],
)
def test_every_end_that_has_an_explanation_is_one_line(command, body, code, message):
    done = command(body, "--dataset=x")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", message + "\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=x", "--no_such=3"], "Unknown command line flag 'no_such'"),
        (["--dataset=x", "more"], "unknown argument 'more'"),
        ([], "flag --dataset=None: Flag --dataset must have a value other than None."),
    ],
)
def test_a_wrong_command_line_ends_with_2(command, arguments, message):
    done = command("print('ran')", *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"command: {message}") and done.stderr.count("\n") == 1


def test_a_mistake_of_the_program_keeps_its_traceback(command):
    done = command("return {}['missing']", "--dataset=x")
    assert done.returncode == 1 and "KeyError" in done.stderr and "Traceback" in done.stderr


def test_results_are_the_last_line_of_stdout(command):
    assert command("return FLAGS.dataset", "--dataset=x").stdout == "x\n"
    figures = command("print('text'); return {'a': float('nan'), 'b': 1}", "--dataset=x").stdout
    assert json.loads(figures.splitlines()[-1]) == {"a": None, "b": 1}
    assert command("return 75", "--dataset=x").returncode == 75
    assert command("pass", "--dataset=x").returncode == 0


def test_arguments_reach_a_command_that_takes_them(command):
    done = command("return argv[1:]", "--dataset=x", "one", "two", options=", arguments=True")
    assert done.stdout == "['one', 'two']\n"


def test_help_lists_flags_wherever_they_were_defined(command, tmp_path):
    shared = 'from absl import flags\n\ndef define():\n    flags.DEFINE_bool("tls", False, "TLS.")\n'
    (tmp_path / "shared.py").write_text(shared)
    more = ") if False else program.run(main, lambda: (define_flags(), __import__('shared').define())"
    text = command("pass", "--help", options=more).stdout
    assert "--dataset" in text and "--[no]tls" in text


def test_traceback_of_bad_input_is_there_for_who_asks(command):
    done = command("open('/no/file')", "--dataset=x", "--verbosity=1")
    assert done.returncode == 2 and "Traceback" in done.stderr


def test_needs_no_tensorflow(command):
    body = "import sys; return int('tensorflow' in sys.modules)"
    assert command(body, "--dataset=x").returncode == 0
