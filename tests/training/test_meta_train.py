"""Invariant 7 on the real program: kill -9 and SIGTERM, restart, same weights; bad flags."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from tests.commands import run_here

STEPS = 60
# Within the tests' process: it has two logical CPUs, and stays as it is.
HERE = ("--nodeterministic", "--strategy=one_device")


@pytest.fixture(scope="module")
def command(people, pico_config_file):
    def make(run, *more):
        return [
            sys.executable,
            "-m",
            "training.meta_train",
            f"--dataset={people}",
            f"--run={run}",
            f"--config={pico_config_file}",
            "--vgg19=none",
            f"--steps={STEPS}",
            "--checkpoint_every=10",
            "--preview_every=50",
            "--log_every=1",
            "--watch_every=20",
            "--deterministic",
            "--seed=3",
            "--exclude_identities=procedural_000004",
            *more,
        ]

    return make


def interrupt(command, run, step, number):
    """Starts the program and sends it a signal once `step` is logged. Returns its exit code."""
    log = run / "metrics.jsonl"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        lines = log.read_text().splitlines() if log.exists() else []
        if lines and lines[-1].endswith("}") and json.loads(lines[-1])["step"] >= step:
            os.kill(process.pid, number)
            break
        time.sleep(0.02)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.fixture(scope="module")
def runs(command, tmp_path_factory):
    """One run left alone, one killed by SIGKILL, then stopped by SIGTERM, then finished."""
    folder = tmp_path_factory.mktemp("runs")
    subprocess.run(command(folder / "whole"), check=True, timeout=600)
    run = folder / "interrupted"
    killed, _ = interrupt(command(run), run, 15, signal.SIGKILL)
    after_kill = tf.train.latest_checkpoint(str(run / "checkpoints"))
    stopped, errors = interrupt(command(run), run, 30, signal.SIGTERM)
    after_stop = tf.train.latest_checkpoint(str(run / "checkpoints"))
    subprocess.run(command(run), check=True, timeout=600)
    codes = {"killed": killed, "stopped": stopped, "errors": errors}
    return folder, codes, after_kill, after_stop


def test_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(runs, assert_same_weights):
    folder, _, after_kill, after_stop = runs
    assert 10 <= int(after_kill.rsplit("-")[-1]) < STEPS
    assert 30 <= int(after_stop.rsplit("-")[-1]) < STEPS
    whole, interrupted = (folder / run / "checkpoints" / f"ckpt-{STEPS}" for run in ("whole", "interrupted"))
    assert_same_weights(interrupted, whole)


def test_sigterm_saves_and_says_so(runs):
    _, codes, _, _ = runs
    assert codes["killed"] == -signal.SIGKILL
    assert codes["stopped"] == 128 + signal.SIGTERM
    assert "stopped by SIGTERM: step" in codes["errors"]


def test_run_folder_holds_config_facts_logs_and_previews(runs, nano_config):
    run = runs[0] / "whole"
    assert json.loads((run / "config.json").read_text())["train"]["k_shot"] == 2
    facts = json.loads((run / "run.json").read_text())
    assert facts["num_videos"] == 4 and facts["excluded_identities"] == ["procedural_000004"]
    starts = [json.loads(line) for line in (run / "starts.jsonl").read_text().splitlines()]
    assert [start["step"] for start in starts] == [0]
    assert len((runs[0] / "interrupted" / "starts.jsonl").read_text().splitlines()) == 3
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert {"loss/match", "loss/content_pixel", "score/real", "error/l1"} < set(lines[0])
    assert "watch/swap" in lines[19] and "watch/swap" not in lines[18]
    assert sorted(p.name for p in (run / "previews").iterdir()) == [
        "layout.json",
        "step_000000050.mp4",
        "step_000000050.png",
        "step_000000060.mp4",
        "step_000000060.png",
    ]
    assert any(p.name.startswith("events") for p in (run / "tensorboard").iterdir())


def test_resuming_with_another_config_names_the_field(runs, command):
    result = run_here(*command(runs[0] / "whole", *HERE, "--override=train.k_shot=3")[2:])
    assert result.returncode == 2
    assert "config.json: train.k_shot is 2, asked for is 3" in result.stderr


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--override=train.k_shots=3", "no field 'k_shots'"),
        ("--override=landmarks.detector=mediapipe", "detector is 'procedural'"),
        ("--exclude_identities=nobody", "nobody"),
        ("--vgg19=/missing/vgg19.h5", "/missing/vgg19.h5"),
        ("--accumulate=3", "train.batch_size: got 4, expected a multiple of 1 replicas x 3"),
        ("--steps_per_call=3", "log_every: got 1, expected a multiple of steps_per_call=3"),
        ("--strategy=multi_worker", "needs the variable TF_CONFIG"),
    ],
)
def test_bad_flags_end_with_a_message(command, tmp_path, flag, message):
    more = ["--override=losses.content_vgg19=0.01"] if "vgg19" in flag else []
    result = run_here(*command(tmp_path / "run", *HERE, flag, *more)[2:])
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_dry_run_prints_the_plan_and_trains_nothing(people, pico_config_file):
    flags = [f"--dataset={people}", f"--config={pico_config_file}", "--vgg19=none", "--dry_run", "--accumulate=2"]
    result = run_here("training.meta_train", *flags, *HERE)
    assert result.returncode == 0, result.stderr
    assert '"k_shot": 2' in result.stdout
    assert "5 videos, 30 frames" in result.stdout and "in 2 part(s)" in result.stdout


def test_several_steps_per_call_and_damaged_data(command, people, tmp_path):
    """A record with a flipped byte is passed over and counted; the run ends on its last step."""
    damaged = tmp_path / "damaged"
    shutil.copytree(people, damaged)
    (shard,) = damaged.glob("*.tfrecord")
    data = bytearray(shard.read_bytes())
    data[200] ^= 255
    shard.write_bytes(data)
    flags = [
        "--steps_per_call=4",
        "--log_every=8",
        "--watch_every=8",
        "--checkpoint_every=8",
        "--preview_every=100",
        "--nopreview_film",
        "--steps=10",
        f"--dataset={damaged}",
    ]
    skip = [f for f in command(tmp_path / "run", *flags, "--on_damage=skip") if f != f"--dataset={people}"]
    subprocess.run(skip, check=True, timeout=300)
    lines = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [8]
    assert lines[0]["data/skipped"] > 0
    assert sorted(p.name for p in (tmp_path / "run/checkpoints").glob("*.index")) == ["ckpt-10.index", "ckpt-8.index"]
    strict = [f for f in command(tmp_path / "strict", *flags) if f != f"--dataset={people}"]
    result = subprocess.run(strict, capture_output=True, text=True, timeout=300)
    assert result.returncode == 2
    assert f"shard {shard}: record at byte 0" in result.stderr
