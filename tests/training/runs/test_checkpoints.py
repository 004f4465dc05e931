"""Checkpoints: never of broken weights, never half of one; the newest readable one is restored."""

import logging
import os
import pathlib
import resource
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.networks import checkpoint_files as files
from training.runs.checkpoints import NotFinite, SafeCheckpoints, variables_of
from training.runs.ends import NotSaved
from training.updates.adam import Adam, RowAdam

SIZE = 300_000  # floats: 1.2 MB a checkpoint


def make(folder, **options):
    checkpoint = tf.train.Checkpoint(
        weights=tf.Variable(tf.random.stateless_normal([SIZE], [1, 2])),
        step=tf.Variable(0, dtype=tf.int64),
        config=tf.Variable("text"),
    )
    return SafeCheckpoints(checkpoint, folder, **options)


def save_steps(checkpoints, *steps):
    for step in steps:
        checkpoints.checkpoint.step.assign(step)
        assert checkpoints.save(step) is not None


def names(folder):
    return sorted(p.name for p in pathlib.Path(folder).iterdir())


def test_keeps_the_newest_and_tensorflow_finds_them(tmp_path):
    checkpoints = make(tmp_path / "checkpoints", max_to_keep=2)
    save_steps(checkpoints, 5, 9, 30)
    assert [files.step_of(p) for p in checkpoints.checkpoints] == [9, 30]
    assert names(checkpoints.folder) == [
        "checkpoint",
        "ckpt-30.data-00000-of-00001",
        "ckpt-30.index",
        "ckpt-9.data-00000-of-00001",
        "ckpt-9.index",
    ]
    assert tf.train.latest_checkpoint(checkpoints.folder) == checkpoints.latest
    moved = (tmp_path / "checkpoints").rename(tmp_path / "moved")
    assert tf.train.latest_checkpoint(str(moved)) == str(moved / "ckpt-30")
    again = make(moved)
    assert again.restore_newest() == str(moved / "ckpt-30")
    assert int(again.checkpoint.step) == 30
    np.testing.assert_array_equal(again.checkpoint.weights, checkpoints.checkpoint.weights)


def test_continues_a_folder_of_tensorflows_manager(tmp_path):
    checkpoints = make(tmp_path)
    manager = tf.train.CheckpointManager(checkpoints.checkpoint, str(tmp_path), max_to_keep=3)
    checkpoints.checkpoint.step.assign(7)
    manager.save(checkpoint_number=7)
    assert make(tmp_path).restore_newest().endswith("ckpt-7")


def damage(prefix, how):
    data, index = f"{prefix}.data-00000-of-00001", f"{prefix}.index"
    if how == "truncated data":
        os.truncate(data, 1000)
    elif how == "flipped byte":
        with open(data, "r+b") as file:
            file.seek(5000)
            byte = file.read(1)[0]
            file.seek(5000)
            file.write(bytes([byte ^ 255]))
    elif how == "missing data":
        os.remove(data)
    elif how == "missing index":
        os.remove(index)
    elif how == "truncated index":
        os.truncate(index, os.path.getsize(index) // 2)


@pytest.mark.parametrize("how", ["truncated data", "flipped byte", "missing data", "missing index", "truncated index"])
def test_damaged_newest_falls_back_to_the_one_before(tmp_path, how, caplog):
    save_steps(make(tmp_path), 5, 9)
    damage(str(tmp_path / "ckpt-9"), how)
    checkpoints = make(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert checkpoints.restore_newest() == str(tmp_path / "ckpt-5")
    assert int(checkpoints.checkpoint.step) == 5
    wanted = "ckpt-9.index" if "index" in how else "ckpt-9.data-"
    assert wanted in caplog.text
    # Set aside, not lost, and in nobody's way.
    assert any(name.startswith("unreadable-ckpt-9.") for name in names(tmp_path))
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-5")
    save_steps(checkpoints, 9)
    assert make(tmp_path).restore_newest() == str(tmp_path / "ckpt-9")


def test_nothing_readable_is_an_error_and_touches_nothing(tmp_path):
    save_steps(make(tmp_path), 5)
    damage(str(tmp_path / "ckpt-5"), "truncated data")
    before = names(tmp_path)
    with pytest.raises(ValueError, match="none of its 1 checkpoints can be read"):
        make(tmp_path).restore_newest()
    assert names(tmp_path) == before
    assert make(tmp_path / "empty").restore_newest() is None


def test_a_lost_state_file_does_not_start_the_run_again(tmp_path):
    save_steps(make(tmp_path), 5, 9)
    (tmp_path / "checkpoint").unlink()
    assert make(tmp_path).restore_newest() == str(tmp_path / "ckpt-9")


def test_leavings_of_a_killed_save_are_removed(tmp_path):
    save_steps(make(tmp_path), 5)
    (tmp_path / "ckpt-9_temp").mkdir()
    (tmp_path / "ckpt-9_temp/part-00000-of-00001.data.tempstate1").write_bytes(b"half")
    assert make(tmp_path).restore_newest() == str(tmp_path / "ckpt-5")
    assert names(tmp_path) == ["checkpoint", "ckpt-5.data-00000-of-00001", "ckpt-5.index"]


_SAVES_FOR_EVER = """
import itertools, sys
import tensorflow as tf
from training.runs.checkpoints import SafeCheckpoints

weights, step = tf.Variable(tf.zeros([10_000_000])), tf.Variable(0, dtype=tf.int64)
checkpoints = SafeCheckpoints(tf.train.Checkpoint(weights=weights, step=step), sys.argv[1])
checkpoints.restore_newest()
for number in itertools.count(int(step) + 1):
    weights.assign(tf.fill(weights.shape, float(number)))
    step.assign(number)
    checkpoints.save(number)
"""


def test_kill_9_in_the_middle_of_a_write_costs_that_write_alone(tmp_path, repo_root):
    folder = tmp_path / "checkpoints"

    def half_written():
        found = [path for path in folder.rglob("*") if "_temp" in str(path) or ".tempstate" in path.name]
        return [path for path in found if path.is_file()]

    for _ in range(5):  # a write may end between the look and the kill
        command = [sys.executable, "-c", _SAVES_FOR_EVER, str(folder)]
        process = subprocess.Popen(command, cwd=repo_root)
        while not (list(folder.glob("ckpt-*.index")) and half_written()):
            assert process.poll() is None
        process.kill()
        process.wait()
        if half_written():
            break
    assert half_written()
    step = tf.Variable(0, dtype=tf.int64)
    weights = tf.Variable(tf.zeros([10_000_000]))
    again = SafeCheckpoints(tf.train.Checkpoint(weights=weights, step=step), folder)
    assert again.restore_newest() is not None
    assert int(step) > 0 and np.unique(weights) == [int(step)]
    assert not half_written()
    step.assign_add(1)
    assert again.save(int(step)) == again.latest == again.last_good()


def test_restoring_is_strict(tmp_path):
    save_steps(make(tmp_path), 5)
    other = tf.train.Checkpoint(
        weights=tf.Variable(tf.zeros([SIZE])),
        step=tf.Variable(0, dtype=tf.int64),
        config=tf.Variable(""),
        more=tf.Variable(1.0),
    )
    with pytest.raises(ValueError, match="ckpt-5: can not be restored into this run"):
        SafeCheckpoints(other, tmp_path).restore_newest()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_never_written(tmp_path, value):
    checkpoints = make(tmp_path)
    save_steps(checkpoints, 5)
    before = names(tmp_path)
    checkpoints.checkpoint.weights.assign(
        tf.tensor_scatter_nd_update(checkpoints.checkpoint.weights, [[SIZE - 1]], [value])
    )
    with pytest.raises(NotFinite, match="1 of 1 variables are not finite"):
        checkpoints.save(9)
    assert names(tmp_path) == before
    # One that another program wrote is not good either.
    checkpoints.checkpoint.write(str(tmp_path / "ckpt-9"))
    assert files.newest_readable(str(tmp_path))[0] == str(tmp_path / "ckpt-5")


def test_moments_of_both_kinds_of_optimisers_are_looked_at():
    w, kernel = tf.Variable(tf.zeros([4, 2]), name="w"), tf.Variable(tf.zeros([3]), name="kernel")
    adam, rows = Adam([kernel], 0.1, 0.0, 0.9, 1e-5), RowAdam(w, 0.1, 0.0, 0.9, 1e-5)
    checkpoint = tf.train.Checkpoint(w=w, kernel=kernel, adam=adam, rows=rows)
    floats = [v for v in variables_of(checkpoint) if v.dtype.is_floating and v.shape.rank]
    assert sorted(v.shape.as_list() for v in floats) == [[3]] * 3 + [[4, 2]] * 3


def test_no_room_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    checkpoints = make(tmp_path, max_failures=2)
    save_steps(checkpoints, 5)
    before = names(tmp_path)
    monkeypatch.setattr(files, "free_bytes", lambda folder: 4 * SIZE - 1)
    assert checkpoints.save(9) is None
    assert "a checkpoint needs 1.1 MiB" in checkpoints.unsaved
    assert f"folder {tmp_path}" in checkpoints.unsaved and "ckpt-5" in checkpoints.unsaved
    with pytest.raises(NotSaved, match="2 saves in a row failed"):
        checkpoints.save(10)
    assert names(tmp_path) == before
    monkeypatch.undo()
    save_steps(checkpoints, 11)  # room again: as if nothing had been
    assert checkpoints.unsaved == "" and NotSaved.exit_code == 3


def check_full_disk(folder, fill):
    """Two saves that fit, one that does not, one that fits again once there is room."""
    checkpoints = make(folder)
    save_steps(checkpoints, 1, 2)
    release = fill()
    # The check for room is not what is tested here: the disk fills while it is written to.
    checkpoints._check_space = lambda: None
    assert checkpoints.save(3) is None
    assert "ckpt-3" in checkpoints.unsaved
    assert [files.step_of(p) for p in checkpoints.checkpoints] == [1, 2]
    assert not [n for n in names(folder) if "3" in n]
    assert make(folder).restore_newest() == f"{folder}/ckpt-2"
    release()
    save_steps(checkpoints, 4)
    assert make(folder).restore_newest() == f"{folder}/ckpt-4"


def test_disk_full_on_a_tiny_file_system(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root; see the test with a limit on file sizes")
    try:
        filler = disk / "filler"

        def fill():
            free = files.free_bytes(str(disk))
            filler.write_bytes(b"x" * (free - SIZE))
            return filler.unlink

        check_full_disk(str(disk / "checkpoints"), fill)
    finally:
        # Lazily: TensorFlow's reader may still hold a file open.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_write_error_by_a_limit_on_file_sizes(tmp_path):
    """The same without privileges: writing beyond RLIMIT_FSIZE fails with EFBIG."""
    program = f"""
import importlib.util, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spec = importlib.util.spec_from_file_location("t", {__file__!r})
t = importlib.util.module_from_spec(spec)
spec.loader.exec_module(t)
t.check_full_disk(sys.argv[1], t.limit_file_size)
print("passed")
"""
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "checkpoints")], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0 and "passed" in result.stdout, result.stderr


def limit_file_size():
    """Files of this process can not grow beyond half a checkpoint until it is released."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * SIZE, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_path_that_is_no_local_file():
    """TensorFlow's in-memory file system stands for gs://: no pathlib, no disk_usage."""
    checkpoints = make("ram://run/checkpoints", max_to_keep=1)
    assert files.free_bytes("ram://run") is None
    save_steps(checkpoints, 5, 9)
    assert [files.step_of(p) for p in checkpoints.checkpoints] == [9]
    assert make("ram://run/checkpoints").restore_newest() == "ram://run/checkpoints/ckpt-9"
    assert tf.train.latest_checkpoint("ram://run/checkpoints") == "ram://run/checkpoints/ckpt-9"
