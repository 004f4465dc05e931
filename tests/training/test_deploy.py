"""The Kubernetes example: numbers that must agree, flags that exist, TF_CONFIG that is right."""

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from tf_talking.config import get_preset
from training.overrides import apply_overrides


@pytest.fixture(scope="module")
def manifest(repo_root):
    return (repo_root / "training" / "deploy" / "meta_train_job.yaml").read_text()


@pytest.fixture(scope="module")
def script(manifest):
    """The container's start script: the block below `args: - |`."""
    lines = manifest.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == "- |") + 1
    depth = len(lines[start]) - len(lines[start].lstrip())
    block = []
    for line in lines[start:]:
        if line.strip() and len(line) - len(line.lstrip()) < depth:
            break
        block.append(line)
    return textwrap.dedent("\n".join(block))


def value(manifest, key):
    """The only value of a key, without its comment."""
    found = re.findall(rf"^[ -]*{re.escape(key)}: *([^#\n]*?) *(?:#.*)?$", manifest, re.MULTILINE)
    assert len(found) == 1, f"{key}: {found}"
    return found[0].strip('"')


def test_documents_are_a_service_and_a_job(manifest):
    assert "\t" not in manifest
    kinds = []
    for document in manifest.split("\n---\n"):
        keys = re.findall(r"^(\w+):", document, re.MULTILINE)
        assert keys == ["apiVersion", "kind", "metadata", "spec"]
        kinds.append(re.search(r"^kind: (\w+)$", document, re.MULTILINE)[1])
        for line in document.splitlines():
            if not line.lstrip().startswith("#"):
                assert (len(line) - len(line.lstrip())) % 2 == 0, line
    assert kinds == ["Service", "Job"]


def test_numbers_agree(manifest):
    workers = int(value(manifest, "completions"))
    assert workers == int(value(manifest, "parallelism"))
    assert re.search(r'- name: NUM_WORKERS\n\s+value: "(\d+)"', manifest)[1] == str(workers)
    assert value(manifest, "completionMode") == "Indexed"
    assert value(manifest, "clusterIP") == "None"
    # podFailurePolicy is refused by the API with any other policy.
    assert value(manifest, "restartPolicy") == "Never"
    assert int(value(manifest, "backoffLimit")) >= 100 * workers
    assert int(value(manifest, "terminationGracePeriodSeconds")) >= 300


def test_batch_can_be_split_over_all_gpus(manifest, script):
    overrides = re.findall(r"--override=(\S+)", script)
    config = apply_overrides(get_preset(re.search(r"--preset=(\w+)", script)[1]), overrides)
    gpus = int(value(manifest, "nvidia.com/gpu")) * int(value(manifest, "completions"))
    assert config.train.batch_size % gpus == 0


def test_flags_exist(script, repo_root):
    used = re.findall(r"--(\w+)", script[script.index("training.meta_train") :])
    assert {"strategy", "dataset", "run", "preset"} <= set(used)
    program = "import json, training.meta_train as m; print(json.dumps(list(m.FLAGS)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repo_root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    known = set(json.loads(done.stdout.splitlines()[-1]))
    assert sorted(set(used) - known) == []


@pytest.mark.parametrize(("workers", "index"), [(1, 0), (4, 0), (4, 3)])
def test_start_script_makes_tf_config(manifest, script, tmp_path, workers, index):
    """Runs the script under bash with a `python` that prints what it was started with."""
    assert "$(" not in script  # Kubernetes itself would expand it
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/bash\necho "$$"\necho "$TF_CONFIG"\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "NUM_WORKERS": str(workers),
        "JOB_COMPLETION_INDEX": str(index),
    }
    process = subprocess.Popen(
        ["/bin/bash", "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    )
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    number, config, *arguments = output.splitlines()
    assert int(number) == process.pid  # exec: SIGTERM reaches the program
    assert arguments[:2] == ["-m", "training.meta_train"]
    assert all(argument.startswith("--") for argument in arguments[2:])
    service = re.search(r"kind: Service\nmetadata:\n  name: (\S+)", manifest)[1]
    job = re.search(r"kind: Job\nmetadata:\n  name: (\S+)", manifest)[1]
    port = value(manifest, "port")
    assert service == value(manifest, "subdomain") and port == value(manifest, "containerPort")
    hosts = [f"{job}-{i}.{service}:{port}" for i in range(workers)]
    assert json.loads(config) == {
        "cluster": {"worker": hosts},
        "task": {"type": "worker", "index": index},
    }


def test_script_stops_without_its_index(script, tmp_path):
    done = subprocess.run(
        ["/bin/bash", "-c", script], env={"PATH": "/usr/bin:/bin", "NUM_WORKERS": "2"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0 and "JOB_COMPLETION_INDEX" in done.stderr
