"""serving.check against the embedded server: what it reports, and that it fails when it must."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from serving import check as program
from serving.client.blocking import CardMismatchError, TalkingHeadClient, TalkingHeadError


@pytest.fixture
def client(toy_server):
    with TalkingHeadClient(toy_server.target, timeout=20) as client:
        yield client


def size(client):
    return client.metadata("embedder")["serving_default"].inputs["frames"].shape[2]


def test_reports_versions_and_times(client):
    seen = program.check(client, frames=3)
    assert seen["versions"] == {"embedder": [1], "generator": [1]}
    assert seen["image_size"] == size(client) and seen["frames"] == 6
    assert 0 < seen["frame_ms_median"] <= seen["frame_ms_longest"]
    assert seen["embed_ms"] > 0 and seen["frames_per_second_pipelined"] > 0


def test_a_model_that_is_no_generator_or_not_there_is_named(client):
    with pytest.raises(CardMismatchError, match="'decoder'"):
        program.check(client, generator="decoder", frames=1)
    with pytest.raises(CardMismatchError, match="'generator'"):
        program.check(client, embedder="generator", frames=1)
    with pytest.raises(TalkingHeadError, match="NOT_FOUND.*nobody"):
        program.check(client, generator="nobody", frames=1)


def test_models_of_different_runs_are_told_apart(client, monkeypatch):
    monkeypatch.setattr(program, "adain_size", lambda signatures, model: 7)
    with pytest.raises(ValueError, match="embedder gives 6 adain_params, generator takes 7"):
        program.check(client, frames=1)


def test_frames_of_another_size_are_noticed(client, monkeypatch):
    monkeypatch.setattr(client, "animate", lambda *_, **__: iter([np.zeros((3, 3, 3), np.uint8)]))
    with pytest.raises(ValueError, match=rf"got a frame \[3, 3, 3\], expected \[{size(client)}, "):
        program.check(client, frames=1)


def run(repo_root, *flags):
    return subprocess.run(
        [sys.executable, "-m", "serving.check", *flags],
        cwd=repo_root,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_program_ends_with_json_or_with_code_1(toy_server, repo_root):
    done = run(repo_root, f"--server={toy_server.target}", "--frames=2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["embedder: 1 AVAILABLE", "generator: 1 AVAILABLE"]
    assert json.loads(lines[-1])["frames"] == 4
    done = run(repo_root, f"--server={toy_server.target}", "--generator=nobody")
    assert done.returncode == 1
    assert "nobody" in done.stderr and "Traceback" not in done.stderr and not done.stdout
