"""`training.finetune` killed by SIGKILL: nothing half-published, and the same person in the end."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tf_talking.people.card import PersonCard
from tf_talking.procedural.folder import list_jobs, make_dataset, open_writer
from training.meta.step import MetaTrainer

EPOCHS = 40


@pytest.fixture(scope="module")
def command(pico_config, tmp_path_factory):
    """output folder -> the program's command."""
    root = tmp_path_factory.mktemp("killed")
    trainer = MetaTrainer(pico_config, 4, dict, tf.distribute.get_strategy())
    checkpoint = trainer.checkpoint.write(str(root / "ckpt-0"))
    writer = open_writer(root / "data", pico_config.model.image_size)
    make_dataset(writer, list_jobs(range(1), 1, 6, pico_config.model.image_size, 0), 1)
    flags = {
        "checkpoint": checkpoint,
        "person": "ann",
        "dataset": root / "data",
        "video_id": writer.entries[0].video_id,
        "num_frames": 3,
        "epochs": EPOCHS,
        "backup_every": 2,
        "tune": "psi",  # its graph is traced and exported in half the time; D is trained just as well
    }
    base = [sys.executable, "-m", "training.finetune", *(f"--{name}={value}" for name, value in flags.items())]
    return lambda output: [*base, f"--serving={output / 'serving'}", f"--output={output / 'out'}"]


def epochs_logged(output):
    log = output / "out/log.csv"
    lines = log.read_text().splitlines() if log.is_file() else []
    return [int(line.split(",")[0]) for line in lines[1:] if line.split(",")[0].isdigit()]


def test_killed_program_goes_on_to_the_same_person(command, tmp_path, repo_root):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), cwd=repo_root, check=True, timeout=300)
    process = subprocess.Popen(command(killed), cwd=repo_root, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while process.poll() is None and len(epochs_logged(killed)) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = epochs_logged(killed)
    assert 5 <= len(done) < EPOCHS
    assert not list((killed / "serving").rglob("*.npz"))
    again = subprocess.run(command(killed), cwd=repo_root, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0 and "ann: goes on from its last backup" in again.stderr
    assert epochs_logged(killed)[-1] == EPOCHS - 1
    assert len(epochs_logged(killed)) < EPOCHS + len(done)  # it did not begin anew
    cards = [PersonCard.load(output / "serving/people/ann.npz") for output in (whole, killed)]
    np.testing.assert_array_equal(cards[0].adain_params, cards[1].adain_params)
    assert not (killed / "out/backup").exists()
