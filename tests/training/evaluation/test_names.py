"""What methods are called, without TensorFlow."""

import subprocess
import sys

import pytest

from training.evaluation.names import BEFORE, FF, FT, NEAREST, PSI, ranking_method


def test_who_ranks():
    assert ranking_method([NEAREST, FF, BEFORE, FT, PSI]) == FT
    assert ranking_method([NEAREST, FF, PSI]) == PSI
    assert ranking_method([NEAREST, FF]) == FF


@pytest.mark.parametrize("module", ["report", "comparison", "cross_report", "curves", "folder"])
def test_what_is_said_of_results_needs_no_tensorflow(module, repo_root):
    program = f"import sys, training.evaluation.{module}; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=repo_root)
    assert done.stdout.strip() == "False", done.stderr
