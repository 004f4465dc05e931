"""Invariant 7 on the real program: kill -9 and SIGTERM, restart, same weights; bad flags."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.config import to_json

STEPS = 60


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, nano_config):
    folder = tmp_path_factory.mktemp("data") / "people"
    subprocess.run(
        [sys.executable, "-m", "training.make_procedural", f"--output={folder}",
         "--num_identities=5", "--frames_per_video=6", "--workers=1",
         f"--image_size={nano_config.model.image_size}"],
        check=True, timeout=300,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def command(dataset, nano_config, tmp_path_factory):
    config = tmp_path_factory.mktemp("config") / "nano.json"
    config.write_text(to_json(nano_config))

    def make(run, *more):
        return [
            sys.executable, "-m", "training.meta_train", f"--dataset={dataset}", f"--run={run}",
            f"--config={config}", "--vgg19=none", f"--steps={STEPS}", "--checkpoint_every=10",
            "--preview_every=50", "--log_every=1", "--deterministic", "--seed=3",
            "--exclude_identities=procedural_000004", *more,
        ]  # fmt: skip

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


def values(run):
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(run / "checkpoints")))
    names = reader.get_variable_to_shape_map()
    return {n: reader.get_tensor(n) for n in names if n.endswith("VARIABLE_VALUE")}


def test_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(runs):
    folder, _, after_kill, after_stop = runs
    assert 10 <= int(after_kill.rsplit("-")[-1]) < STEPS
    assert 30 <= int(after_stop.rsplit("-")[-1]) < STEPS
    whole, interrupted = values(folder / "whole"), values(folder / "interrupted")
    assert set(whole) == set(interrupted)
    assert int(whole["step/.ATTRIBUTES/VARIABLE_VALUE"]) == STEPS
    for name, value in whole.items():
        if name.startswith("save_counter/"):  # the stop by SIGTERM wrote one checkpoint more
            continue
        if isinstance(value, bytes):  # the config
            assert value == interrupted[name]
        else:
            np.testing.assert_allclose(value, interrupted[name], atol=1e-6, err_msg=name)


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
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert {"loss/match", "loss/content_pixel", "score/real", "error/l1"} < set(lines[0])
    assert sorted(p.name for p in (run / "previews").iterdir()) == [
        "step_000000050.png",
        "step_000000060.png",
    ]
    assert any(p.name.startswith("events") for p in (run / "tensorboard").iterdir())


def test_resuming_with_another_config_names_the_field(runs, command):
    result = subprocess.run(
        command(runs[0] / "whole", "--override=train.k_shot=3"),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 2
    assert "config.json: train.k_shot is 2, this command has 3" in result.stderr


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--override=train.k_shots=3", "no field 'k_shots'"),
        ("--override=landmarks.detector=mediapipe", "detector is 'procedural'"),
        ("--exclude_identities=nobody", "nobody"),
        ("--vgg19=/missing/vgg19.h5", "/missing/vgg19.h5"),
    ],
)
def test_bad_flags_end_with_a_message(command, tmp_path, flag, message):
    more = ["--override=losses.content_vgg19=0.01"] if "vgg19" in flag else []
    result = subprocess.run(
        command(tmp_path / "run", flag, *more), capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert not (tmp_path / "run").exists()
