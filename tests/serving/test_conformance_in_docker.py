"""conformance_in_docker.sh, with a program in place of docker that runs the embedded server."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.serving.deploy.conftest import IMAGE, TF_SERVING_FLAGS, flags_of

# The "container" is a process on two free ports; `docker port` tells them.
DOCKER = """
import json, os, pathlib, signal, subprocess, sys
sys.path.insert(0, os.getcwd())
from benchmarks.measuring.ports import free_port
state = pathlib.Path(__file__).with_name("state.json")
command, *arguments = sys.argv[1:]
if command == "run":
    at = arguments.index("--entrypoint") + 3
    ports = {"8500": free_port(), "8501": free_port()}
    flags = [*arguments[at:], f"--port={ports['8500']}", f"--rest_api_port={ports['8501']}"]
    process = subprocess.Popen([sys.executable, "-m", "serving.model_server", *flags], stdout=subprocess.PIPE)
    process.stdout.readline()
    state.write_text(json.dumps({"arguments": arguments, "ports": ports, "removed": False}))
    print(process.pid)
elif command == "port":
    print(f"127.0.0.1:{json.loads(state.read_text())['ports'][arguments[1].removesuffix('/tcp')]}")
elif command == "rm":
    os.kill(int(arguments[-1]), signal.SIGKILL)
    state.write_text(json.dumps(json.loads(state.read_text()) | {"removed": True}))
"""


@pytest.fixture
def run(repo_root, tmp_path):
    """run(text of a program `docker` or None, *arguments) of the script."""

    def run(docker, *arguments):
        for name in ("bash", "dirname", "mktemp", "chmod", "rm"):
            (tmp_path / name).symlink_to(shutil.which(name))
        if docker:
            (tmp_path / "docker").write_text(docker)
            (tmp_path / "docker").chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment |= {"PATH": str(tmp_path), "PYTHON": sys.executable, "TMPDIR": str(tmp_path)}
        script = repo_root / "tests" / "serving" / "conformance_in_docker.sh"
        return subprocess.run(
            ["bash", script, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )

    return run


@pytest.mark.parametrize(
    ("docker", "reason"), [(None, "there is no program docker"), ("#!/bin/sh\nexit 1\n", "no Docker daemon")]
)
def test_without_docker_it_is_skipped_with_the_reason(run, docker, reason):
    done = run(docker)
    assert done.returncode == 77
    assert done.stderr.startswith("skipped: ") and reason in done.stderr


def test_the_suite_runs_against_the_container(run, tmp_path):
    choice = "tensorflow_serving and (test_status or test_columns_in_frames_as_base64_out)"
    done = run(f"#!{sys.executable}\n{DOCKER}", "-k", choice, "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout and ".." in done.stdout, done.stdout
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["removed"]
    arguments = state["arguments"]
    at = arguments.index("--entrypoint")
    assert arguments[at + 1 : at + 3] == ["tensorflow_model_server", IMAGE]
    flags = flags_of(arguments[at + 3 :])
    assert set(flags) <= TF_SERVING_FLAGS
    source, target, mode = arguments[arguments.index("--volume") + 1].split(":")
    assert source == target and mode == "ro" and flags["model_config_file"].startswith(target)
    published = [argument for argument in arguments if argument.startswith("127.0.0.1::")]
    assert published == [f"127.0.0.1::{flags['port']}", f"127.0.0.1::{flags['rest_api_port']}"]
    assert not list(tmp_path.glob("tmp*"))  # the models are gone with the container


def test_it_fails_as_the_suite_does_and_shows_the_container_s_log(run):
    done = run("#!/bin/bash\n[ $1 != logs ] || echo the log of $4 >&2\n[ $1 != run ] || echo 12ab\n", "-k", "nothing")
    assert done.returncode == 5  # pytest's, where nothing has run
    assert "the log of 12ab" in done.stderr
