"""docs/differences.md: every row can be checked, and the lists of flags are true."""

import ast
import re

import pytest

from tests.serving.deploy.conftest import TF_SERVING_FLAGS


@pytest.fixture(scope="module")
def page(repo_root):
    return (repo_root / "docs" / "differences.md").read_text()


def rows(page):
    cells = [line.strip("|").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in cells if row[0].strip() != "TensorFlow Serving 2.15"]


def test_each_row_names_a_source_file_a_reason_and_a_test_that_exists(page, repo_root):
    table = rows(page)
    assert len(table) > 40
    for row in table:
        theirs, ours, why, test = row
        assert ours and why
        assert re.findall(r"\(`(tensorflow(?:_serving)?(?:/\w+)+\.cc)`\)$", theirs), theirs
        file, name = re.fullmatch(r"`([\w/]+\.py)::(test_\w+)`", test).groups()
        path = repo_root / file if "/serving/" in file else repo_root / "tests" / "serving" / "server" / file
        functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert name in functions, test


def listed(page, title):
    (text,) = re.findall(rf"^{title}:\n(.*?)\n\n", page, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`--(\w+)`", text))


def test_flags_that_one_of_both_has(page, repo_root):
    source = (repo_root / "serving" / "server_flags.py").read_text()
    defined = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source))
    assert listed(page, "Flags that are not there") == TF_SERVING_FLAGS - defined
    assert listed(page, "Flags that TensorFlow Serving has not") == defined - TF_SERVING_FLAGS
