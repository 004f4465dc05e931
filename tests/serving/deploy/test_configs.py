"""Text protos of serving/deploy, against their schemas and against what an export writes."""

import re

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.server.config_protos import BatchingParameters, read_text_proto
from tf_talking.served import warmup
from tf_talking.served.folder import ServingFolder


@pytest.mark.parametrize("name", ["models.config", "models_canary.config"])
def test_model_configs_are_what_an_export_writes(deploy, name, tmp_path):
    config = text_format.Parse((deploy / name).read_text(), model_server_config_pb2.ModelServerConfig())
    models = {model.name: model for model in config.model_config_list.config}
    assert len(models) == len(config.model_config_list.config)
    assert {"embedder", "generator"} <= set(models)
    folder = ServingFolder(tmp_path, base_path="/models")
    for key in ("embedder", "generator"):
        folder.publish(key, lambda path: path.mkdir())
        models[key].ClearField("model_version_policy")
    for written in folder.read_models_config().model_config_list.config:
        assert models[written.name] == written


def test_canary_is_another_version_of_the_same_model(deploy):
    config = text_format.Parse(
        (deploy / "models_canary.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    models = {model.name: model for model in config.model_config_list.config}
    stable, canary = models["generator"], models["generator_canary"]
    assert stable.base_path == canary.base_path
    versions = [list(m.model_version_policy.specific.versions) for m in (stable, canary)]
    assert versions == [[1], [2]]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_batching_is_what_an_export_writes_and_threads(deploy, device):
    parameters = read_text_proto(deploy / f"batching_parameters_{device}.txt", BatchingParameters)
    allowed = list(parameters.allowed_batch_sizes)
    # TF Serving refuses to load a model whose warm-up requests or allowed sizes are larger.
    assert parameters.max_batch_size.value >= warmup.BATCH_SIZES[device][-1]
    assert not allowed or allowed[-1] == parameters.max_batch_size.value
    assert bool(allowed) == (device == "gpu")
    assert parameters.num_batch_threads.value > 1 and parameters.thread_pool_name.value
    for field in ("num_batch_threads", "thread_pool_name"):
        parameters.ClearField(field)
    exported = text_format.Parse(warmup.batching_parameters(device=device), BatchingParameters())
    assert parameters == exported


def test_readme_names_files_that_are_there(deploy, repo_root):
    text = (deploy / "README.md").read_text()
    assert "{{" not in text  # a figure that was never filled in
    named = set(re.findall(r"`([\w./-]+\.(?:config|txt|yaml|sh|md|py)|Dockerfile)`", text))
    assert len(named) > 8
    exported = {"ssl.config"}  # written by the script
    for name in named - exported:
        assert (deploy / name).exists() or (repo_root / name).exists(), name


def test_readme_uses_flags_that_somebody_has(deploy, repo_root, facts):
    text = (deploy / "README.md").read_text()
    used = set(re.findall(r"--(\w+)", text))
    programs = [*(repo_root / "serving").rglob("*.py"), repo_root / "training" / "finetune.py"]
    sources = "\n".join(program.read_text() for program in programs)
    defined = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', sources))
    assert {"enable_batching", "base_path", "server"} <= used
    assert used - facts.TF_SERVING_FLAGS - defined - {"build", "read", "rm", "tmpfs"} == set()
