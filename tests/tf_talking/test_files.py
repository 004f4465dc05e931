import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tf_talking import files


class TestWholeFile:
    def test_replaces_what_was_there(self, tmp_path):
        path = tmp_path / "a.txt"
        for text in ("old", "new: ü"):
            files.write_whole(path, text)
            assert path.read_text(encoding="utf-8") == text
        files.write_whole(path, b"\0\1")
        assert path.read_bytes() == b"\0\1"
        assert os.listdir(tmp_path) == ["a.txt"]

    def test_failure_leaves_the_old_file_and_nothing_else(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("old")
        with pytest.raises(ZeroDivisionError), files.whole_file(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError
        assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]

    def test_block_that_writes_nothing_is_an_error(self, tmp_path):
        with pytest.raises(FileNotFoundError), files.whole_file(tmp_path / "a"):
            pass

    def test_temporary_name_is_hidden_its_own_and_ends_alike(self, tmp_path):
        path = tmp_path / "clip.mp4"
        with files.whole_file(path) as a, files.whole_file(path) as b:
            assert a != b and a.parent == tmp_path
            assert a.name.startswith(".") and a.suffix == ".mp4"
            a.write_bytes(b"a"), b.write_bytes(b"b")
        assert path.read_bytes() == b"a"  # the outer block ends last

    def test_rights_are_those_of_any_new_file(self, tmp_path):
        files.write_whole(tmp_path / "a", "")
        (tmp_path / "b").write_text("")
        assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


class TestWholeFolder:
    def test_appears_when_the_block_ends(self, tmp_path):
        path = tmp_path / "1"
        with files.whole_folder(path) as temporary:
            (temporary / "inner").mkdir()
            (temporary / "inner/a").write_text("a")
            assert not path.exists() and not temporary.name.isdigit()
        assert (path / "inner/a").read_text() == "a" and os.listdir(tmp_path) == ["1"]

    def test_failure_leaves_nothing(self, tmp_path):
        with pytest.raises(ZeroDivisionError), files.whole_folder(tmp_path / "1") as temporary:
            (temporary / "a").write_text("a")
            raise ZeroDivisionError
        assert os.listdir(tmp_path) == []

    def test_never_replaces_one_that_holds_something(self, tmp_path):
        (tmp_path / "1").mkdir()
        (tmp_path / "1/mine").write_text("mine")
        with pytest.raises(FileExistsError, match="1: exists"), files.whole_folder(tmp_path / "1"):
            pass
        assert os.listdir(tmp_path) == ["1"] and os.listdir(tmp_path / "1") == ["mine"]


def test_what_a_killed_process_was_writing_to_a_name_is_removed_and_what_lives_is_not(tmp_path, repo_root):
    code = (
        "import os, sys\nfrom tf_talking import files\n"
        "with files.whole_file(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    target = tmp_path / "film [1].mp4"
    subprocess.run([sys.executable, "-c", code, target], cwd=repo_root)
    (abandoned,) = tmp_path.iterdir()
    files.remove_abandoned(target)
    assert abandoned.exists()  # so young that it may be another's that begins
    with files.whole_file(target) as living, files.whole_file(tmp_path / "film.mp4") as other:
        for path in (abandoned, living, other):
            path.write_text("half")
            os.utime(path, (1, 1))
        files.remove_abandoned(target)
        assert not abandoned.exists() and living.exists() and other.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film [1].mp4", "film.mp4"]


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path, repo_root):
    code = (
        "import os, pathlib, sys\nfrom tf_talking import files\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with files.whole_folder(folder / 'x'), files.whole_file(folder / 'a.png') as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=repo_root)
    assert done.returncode == -signal.SIGKILL and len(os.listdir(tmp_path)) == 2
    kept = {"a.png", ".hidden", ".mine.tmp", ".a.1.tmp.png"}
    for name in kept:
        (tmp_path / name).write_text("")
    files.remove_unfinished(tmp_path)
    assert set(os.listdir(tmp_path)) == kept


class TestJsonLines:
    def test_round_trip(self, tmp_path):
        path = tmp_path / "a.jsonl"
        files.append_json_line(path, {"step": 1, "name": "ü"})
        files.append_json_line(path, {"step": 2}, {"step": 3}, sync=True)
        assert files.read_json_lines(path) == [{"step": 1, "name": "ü"}, {"step": 2}, {"step": 3}]

    def test_not_finite_is_null_however_deep(self, tmp_path):
        row = {"a": np.nan, "b": [np.inf, 1.5], "c": {"d": (-np.inf, np.float64("nan"))}, "e": 0}
        files.append_json_line(tmp_path / "a", row)
        (text,) = (tmp_path / "a").read_text().splitlines()
        wanted = {"a": None, "b": [None, 1.5], "c": {"d": [None, None]}, "e": 0}
        assert json.loads(text, parse_constant=pytest.fail) == wanted

    @pytest.mark.parametrize("cut", [b'{"step": 2', b"x" * 200_000])
    def test_a_cut_last_line_does_not_count_and_is_removed(self, tmp_path, cut):
        path = tmp_path / "a.jsonl"
        path.write_bytes(b'{"step": 1}\n' + cut)
        assert files.read_json_lines(path) == [{"step": 1}]
        files.append_json_line(path, {"step": 3})
        assert path.read_text() == '{"step": 1}\n{"step": 3}\n'

    def test_a_file_that_is_one_cut_line(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text('{"st')
        assert files.read_json_lines(path) == []
        files.append_json_line(path, {"step": 3})
        assert path.read_text() == '{"step": 3}\n'

    @pytest.mark.parametrize("line", ["{", "[1]", "\xff"])
    def test_a_damaged_line_is_named(self, tmp_path, line):
        path = tmp_path / "a.jsonl"
        path.write_bytes(b"{}\n" + line.encode("latin-1") + b"\n{}\n")
        with pytest.raises(ValueError, match=r"a\.jsonl, line 2: no JSON object"):
            files.read_json_lines(path)


class TestCheckSame:
    def test_equal_facts_pass_whatever_their_types(self):
        files.check_same({"a": [1, 2], "b": {"c": 1.0}}, {"a": (1, 2), "b": {"c": 1}}, "run.json")

    def test_a_field_that_came_later_may_be_none(self):
        files.check_same({}, {"start_from": None}, "run.json")

    @pytest.mark.parametrize(
        ("now", "message"),
        [
            ({"a": 1, "b": {"c": 3}}, "run.json: b.c is 2, asked for is 3"),
            ({"a": 1, "b": 4}, r"b is \{'c': 2\}, asked for is 4"),
            ({"b": {"c": 2}}, "a is 1, asked for is None"),
            ({"a": 1, "b": {"c": 2}, "d": "x"}, "d is None, asked for is 'x'"),
        ],
    )
    def test_names_the_field_that_differs(self, now, message):
        with pytest.raises(ValueError, match=message):
            files.check_same({"a": 1, "b": {"c": 2}}, now, "run.json")


def test_names_of_other_encodings_can_be_written_down():
    name = os.fsdecode(b"J\xfcrgen \xc3\xab.mp4")
    assert files.readable(name) == "J%FCrgen \u00eb.mp4"


class TestOnlyOne:
    def test_a_second_one_is_told_who_is_there(self, tmp_path):
        lock = tmp_path / "new" / ".lock"
        with files.only_one(lock, "person 'ann'"):
            with pytest.raises(RuntimeError, match=f"person 'ann': process {os.getpid()} on .* is at it already"):
                with files.only_one(lock, "person 'ann'"):
                    pass
            with files.only_one(tmp_path / ".lock", "another"):
                pass
        with files.only_one(lock, "person 'ann'"):
            pass
        assert [path.name for path in tmp_path.rglob("*")] == ["new"]

    def test_an_error_in_the_block_and_a_killed_process_let_go(self, tmp_path, repo_root):
        lock = tmp_path / ".lock"
        with pytest.raises(ZeroDivisionError), files.only_one(lock, "x"):
            raise ZeroDivisionError
        code = (
            "import os, signal; from tf_talking import files\n"
            f"with files.only_one({str(lock)!r}, 'x'): os.kill(os.getpid(), signal.SIGKILL)"
        )
        process = subprocess.run([sys.executable, "-c", code], cwd=repo_root)
        assert process.returncode == -signal.SIGKILL and lock.is_file()
        with files.only_one(lock, "x"):
            pass
        assert not lock.exists()

    def test_without_locks_nobody_is_kept_out(self, tmp_path, monkeypatch):
        def flock(file, how):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(files.fcntl, "flock", flock)
        with files.only_one(tmp_path / ".lock", "x"), files.only_one(tmp_path / ".lock", "x"):
            pass
