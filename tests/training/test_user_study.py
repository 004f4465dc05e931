"""The program: build, answer, score."""

import json
import subprocess
import sys

import pytest

from tests.training.study.study_helpers import answers_of, make_frames, write_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    make_frames(folder / "frames")
    return folder


def run(repo_root, *arguments):
    command = [sys.executable, "-m", "training.user_study", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=repo_root)


def test_build_and_score(repo_root, folder):
    page = folder / "study"
    done = run(repo_root, "build", f"--frames={folder}/frames", f"--output={page}", "--triplets=2")
    assert done.returncode == 0, done.stderr
    assert "6 triplets of FT_T1, FT_T8, other" in done.stdout and "pictures: 100%" in done.stderr
    key = json.loads((folder / "study.key.json").read_text())
    answers = folder / "answers"
    answers.mkdir()
    write_json(answers / "a.json", answers_of(key, "a", lambda t: t["method"] == "FT"))
    half = answers_of(key, "b", lambda t: False)
    write_json(answers / "b.json", {**half, "answers": half["answers"][:5]})
    (answers / "c.json").write_text("{")
    line_file = folder / "user.json"
    done = run(repo_root, "score", f"--key={page}.key.json", answers, f"--output={line_file}")
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    assert line_file.read_text() == line + "\n"
    result = json.loads(line)
    assert (result["metric"], result["participants"]) == ("user", 2)
    assert result["unfinished"] == ["b.json"] and result["chosen_by_position"] == [11, 0, 0]
    assert list(result["refused"]) == [str(answers / "c.json")]
    assert "c.json is left out: " in done.stderr
    assert [(r["method"], r["t"], r["found"]) for r in result["results"]] == [
        ("FT", 1, 2),
        ("FT", 8, 2),
        ("other", None, 0),
    ]
    assert sum(row["n"] for row in result["results"]) == 11
    again = run(repo_root, "build", f"--frames={folder}/frames", f"--output={page}", "--triplets=2")
    assert again.returncode == 2 and "study: exists already" in again.stderr


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        ([], 2, "expected `real`, `build`, or `score`"),
        (["build"], 2, "build: expected --frames and --output"),
        (["score", "--key=nowhere.json", "x.json"], 2, "nowhere.json: no such file"),
    ],
)
def test_wrong_use(repo_root, arguments, code, message):
    done = run(repo_root, *arguments)
    assert done.returncode == code and message in done.stderr + done.stdout
