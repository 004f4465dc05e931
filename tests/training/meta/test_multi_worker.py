"""Two worker processes on loopback: the same weights as one process, and after a kill."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.measuring.ports import free_port
from tests import bounds
from training.runs.devices import check_tf_config

STEPS = 10


@pytest.fixture(scope="module")
def flags(people, pico_config_file):
    return [
        f"--dataset={people}",
        f"--config={pico_config_file}",
        "--vgg19=none",
        "--checkpoint_every=1",
        "--keep_checkpoints=100",
        "--log_every=1",
        "--watch_every=1000",
        "--preview_every=1000",
        "--nopreview_film",
        "--deterministic",
        "--seed=3",
    ]


def start_workers(flags, run, steps, folder):
    workers = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    processes = []
    for index in range(2):
        config = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        errors = open(folder / f"worker{index}.log", "w")
        processes.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "training.meta_train",
                    *flags,
                    f"--run={run}",
                    f"--steps={steps}",
                    "--strategy=multi_worker",
                ],
                env={**os.environ, "TF_CONFIG": json.dumps(config)},
                stderr=errors,
            )
        )
    return processes


def wait(processes, seconds=240):
    end = time.monotonic() + seconds
    return [p.wait(max(end - time.monotonic(), 1)) for p in processes]


def wait_for_step(run, step, processes):
    log, end = run / "metrics.jsonl", time.monotonic() + 240
    while time.monotonic() < end and all(p.poll() is None for p in processes):
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) > step:
            return
        time.sleep(0.05)
    raise AssertionError(f"step {step} was not reached: {[p.poll() for p in processes]}")


@pytest.fixture(scope="module")
def undisturbed(flags, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert wait(start_workers(flags, folder / "run", STEPS, folder)) == [0, 0]
    return folder / "run"


def test_two_workers_give_the_update_of_one_process(flags, undisturbed, tmp_path, assert_same_weights, pico_config):
    command = [sys.executable, "-m", "training.meta_train", *flags, f"--run={tmp_path / 'one'}"]
    subprocess.run([*command, "--steps=1", "--strategy=one_device"], check=True, timeout=240)
    assert_same_weights(
        undisturbed / "checkpoints" / "ckpt-1",
        tmp_path / "one" / "checkpoints" / "ckpt-1",
        bounds.adam_steps(pico_config.train),
    )


def test_files_are_written_once(undisturbed):
    names = sorted(p.name for p in (undisturbed / "checkpoints").glob("*.index"))
    assert names == sorted(f"ckpt-{step}.index" for step in range(1, STEPS + 1))
    assert not list((undisturbed / "checkpoints").glob("worker_*"))
    lines = [json.loads(x) for x in (undisturbed / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    (start,) = (undisturbed / "starts.jsonl").read_text().splitlines()
    assert json.loads(start)["replicas"] == 2


def test_killed_worker_ends_the_other_and_both_resume_exactly(flags, undisturbed, tmp_path, assert_same_weights):
    run = tmp_path / "run"
    processes = start_workers(flags, run, 1000, tmp_path)
    wait_for_step(run, 3, processes)
    processes[1].send_signal(signal.SIGKILL)
    assert wait(processes) == [75, -signal.SIGKILL]
    assert "another worker was lost" in (tmp_path / "worker0.log").read_text()
    reached = max(int(p.stem.split("-")[1]) for p in (run / "checkpoints").glob("*.index"))
    assert reached >= 2
    if reached >= STEPS:
        pytest.fail(f"killed too late, after step {reached}")

    # And SIGTERM to one of them stops both after the same step.
    processes = start_workers(flags, run, 1000, tmp_path)
    wait_for_step(run, reached + 1, processes)
    processes[1].send_signal(signal.SIGTERM)
    assert wait(processes) == [143, 143]
    assert "stopped by SIGTERM of another worker" in (tmp_path / "worker0.log").read_text()
    stopped = max(int(p.stem.split("-")[1]) for p in (run / "checkpoints").glob("*.index"))
    assert f"step {stopped} is saved" in (tmp_path / "worker1.log").read_text()

    if stopped < STEPS:
        assert wait(start_workers(flags, run, STEPS, tmp_path)) == [0, 0]
    assert_same_weights(run / "checkpoints" / f"ckpt-{STEPS}", undisturbed / "checkpoints" / f"ckpt-{STEPS}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "needs the variable TF_CONFIG"),
        ("{", "JSONDecodeError"),
        ('{"cluster": {}, "task": {"type": "worker", "index": 0}}', "KeyError"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "worker 1 of"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "task is ps"),
    ],
)
def test_bad_tf_config_is_explained(text, message):
    with pytest.raises(ValueError, match=message):
        check_tf_config(text)
