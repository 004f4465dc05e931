"""Rules of the house that no linter knows (CONTRIBUTING.md): flags are the commands'."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PROGRAMS = ("training", "serving", "benchmarks")
ROOMS = sorted(
    path
    for folder in ("tf_talking", *PROGRAMS)
    for path in (ROOT / folder).rglob("*.py")
    if folder == "tf_talking" or path.parent != ROOT / folder
)
COMMANDS = sorted(
    path
    for folder in PROGRAMS
    for path in (ROOT / folder).glob("*.py")
    if 'if __name__ == "__main__":' in path.read_text()
)


def test_flags_never_enter_a_room():
    owners = {ROOT / "tf_talking/program.py", ROOT / "tf_talking/summary.py"}
    found = [
        path.relative_to(ROOT)
        for path in ROOMS
        if path not in owners and "flags" in _absl_names(ast.parse(path.read_text()))
    ]
    assert not found


ENDS_LIKE_TF_SERVING = {"model_server"}


@pytest.mark.parametrize(
    "path",
    [path for path in COMMANDS if path.stem not in ENDS_LIKE_TF_SERVING],
    ids=lambda path: f"{path.parent.name}.{path.stem}",
)
def test_a_command_defines_flags_when_it_is_run(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Expr):
            assert ".DEFINE_" not in ast.unparse(node), ast.unparse(node)
    assert "program.run(main" in path.read_text()


def _absl_names(tree: ast.Module) -> set[str]:
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in imports if node.module == "absl" for alias in node.names}
