"""The mutation run, on a few lines whose tests see one fault and not another."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from cosmic_ray.mutating import mutate_code

from benchmarks.measuring import mutants as made
from benchmarks.measuring.mutants import mutants, some

MODULE = '''"""A module."""


def area(width, height, border=0):
    if width < 0:
        raise ValueError("width")
    return width * height + border
'''
# Sees that it is a product, and nothing of what is not 3 wide, 2 high.
TEST = """from small import area


def test_area():
    assert area(3, 2) == 6
"""
PROGRAM = """
import benchmarks.mutation as mutation
from tf_talking import program

mutation.forked_tests.preload = lambda: None
mutation.result = dict  # without the machine, for which TensorFlow is asked
mutation.MODULES = {"small.py": ("test_small.py",)}
program.run(mutation.main, mutation.define_flags)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small.py").write_text(MODULE)
    (tmp_path / "test_small.py").write_text(TEST)
    return tmp_path


def run(folder: pathlib.Path, repo_root, *flags) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(repo_root)}
    command = [sys.executable, "-c", PROGRAM, "--mutants=0", f"--record={folder / 'record'}", *flags]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_what_the_tests_see_is_killed_and_what_they_do_not_survives(folder, repo_root):
    done = run(folder, repo_root)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    score = figures["modules"]["small.py"]
    assert score["mutants"] == score["ran"] == figures["ran"] > score["killed"] == figures["killed"] > 0
    survived = [line for line in done.stdout.splitlines() if line.startswith("  survived")]
    assert len(survived) == score["ran"] - score["killed"]
    assert any("width < 0: -> if width <= 0:" in line for line in survived)
    # The product, its default border and the condition turned round are seen.
    assert not [line for line in survived if "width / height" in line or "border=1" in line or "not width" in line]
    # What is known is not run again, unless the tests have changed.
    known = (folder / "record").read_text()
    assert json.loads(run(folder, repo_root).stdout.splitlines()[-1])["modules"] == figures["modules"]
    assert (folder / "record").read_text() == known
    (folder / "test_small.py").write_text(TEST + "    assert area(0, 2) == 0\n")
    again = json.loads(run(folder, repo_root).stdout.splitlines()[-1])
    assert again["killed"] == figures["killed"] + 2  # and the limit, moved either way


def test_tests_that_fail_by_themselves_are_no_measure(folder, repo_root):
    (folder / "test_small.py").write_text(TEST.replace("6", "7"))
    done = run(folder, repo_root)
    assert done.returncode == 2 and "pytest test_small.py: fails without a fault" in done.stderr


@pytest.mark.parametrize("operator", [made.DeleteStatement, made.SwapArguments])
def test_own_operators_do_what_their_examples_say(operator):
    for example in operator.examples():
        assert mutate_code(example.pre_mutation_code, operator(), 0) == example.post_mutation_code


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("self.x = 1\n", None),  # what reads it would fail, whatever it tests
        ("x = 1\n", None),
        ("self.x += 1\n", "pass\n"),
        ("self.x[0] = f(1)\n", "pass\n"),
        ("x: int = f(1, 2)\n", None),
        ("return f(a)\n", None),
        ("f(a)\n", "pass\n"),
    ],
)
def test_only_statements_that_nothing_else_needs_are_left_out(source, expected):
    assert mutate_code(source, made.DeleteStatement(), 0) == expected


def test_a_draw_is_the_same_for_a_seed_and_a_part_of_all(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(MODULE)
    found = mutants(path)
    assert len({mutant.source for mutant in found}) == len(found) == 8
    assert MODULE not in {mutant.source for mutant in found}
    drawn = some(found, 5, seed=1)
    assert drawn == some(found, 5, seed=1) != some(found, 5, seed=2)
    assert set(drawn) < set(some(found, 6, seed=1)) < set(found)
    assert set(some(found, 1000, seed=1)) == set(found)
