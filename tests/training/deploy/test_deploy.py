"""The Kubernetes example: numbers that must agree, flags that exist, TF_CONFIG that is right."""

import json
import os
import re
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

from tf_talking.config import get_preset
from tf_talking.config.overrides import apply_overrides


@pytest.fixture(scope="module")
def manifests(repo_root):
    """The Service and the Job."""
    text = (repo_root / "training" / "deploy" / "meta_train_job.yaml").read_text()
    service, job = yaml.safe_load_all(text)
    assert (service["kind"], job["kind"]) == ("Service", "Job")
    return service, job


@pytest.fixture(scope="module")
def job(manifests):
    return manifests[1]["spec"]


@pytest.fixture(scope="module")
def pod(job):
    return job["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    (only,) = pod["containers"]
    return only


@pytest.fixture(scope="module")
def script(container):
    (text,) = container["args"]
    return text


# podFailurePolicy is stable since 1.31; the newest is what the library has a schema of.
@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_manifests_fit_the_kubernetes_schema(manifests, version):
    for document in manifests:
        assert kubernetes_validate.validate(document, version, strict=True) == version


def test_numbers_agree(manifests, job, pod, container):
    workers = job["completions"]
    assert workers == job["parallelism"]
    assert container["env"] == [{"name": "NUM_WORKERS", "value": str(workers)}]
    assert job["completionMode"] == "Indexed"
    assert manifests[0]["spec"]["clusterIP"] == "None"
    assert manifests[0]["spec"]["selector"] == job["template"]["metadata"]["labels"]
    # podFailurePolicy is refused by the API with any other policy.
    assert pod["restartPolicy"] == "Never"
    assert job["backoffLimit"] >= 100 * workers
    assert pod["terminationGracePeriodSeconds"] >= 300
    (exits,) = [rule["onExitCodes"] for rule in job["podFailurePolicy"]["rules"][:1]]
    assert exits["containerName"] == container["name"]


def test_volumes_are_mounted(pod, container):
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}


def test_batch_can_be_split_over_all_gpus(job, container, script):
    overrides = re.findall(r"--override=(\S+)", script)
    config = apply_overrides(get_preset(re.search(r"--preset=(\w+)", script)[1]), overrides)
    gpus = container["resources"]["limits"]["nvidia.com/gpu"] * job["completions"]
    assert config.train.batch_size % gpus == 0


def test_flags_exist(script, repo_root):
    used = re.findall(r"--(\w+)", script[script.index("training.meta_train") :])
    assert {"strategy", "dataset", "run", "preset"} <= set(used)
    program = "import json, training.meta_train as m; m.define_flags(); print(json.dumps(list(m.FLAGS)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=repo_root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    known = set(json.loads(done.stdout.splitlines()[-1]))
    assert sorted(set(used) - known) == []


@pytest.mark.parametrize(("workers", "index"), [(1, 0), (4, 0), (4, 3)])
def test_start_script_makes_tf_config(manifests, pod, container, script, tmp_path, workers, index):
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
    process = subprocess.Popen(["/bin/bash", "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    number, config, *arguments = output.splitlines()
    assert int(number) == process.pid  # exec: SIGTERM reaches the program
    assert arguments[:2] == ["-m", "training.meta_train"]
    assert all(argument.startswith("--") for argument in arguments[2:])
    service, job = (document["metadata"]["name"] for document in manifests)
    assert service == pod["subdomain"]
    (port,) = (entry["port"] for entry in manifests[0]["spec"]["ports"])
    assert [entry["containerPort"] for entry in container["ports"]] == [port]
    hosts = [f"{job}-{i}.{service}:{port}" for i in range(workers)]
    assert json.loads(config) == {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}


def test_script_stops_without_its_index(script, tmp_path):
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        env={"PATH": "/usr/bin:/bin", "NUM_WORKERS": "2"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0 and "JOB_COMPLETION_INDEX" in done.stderr
