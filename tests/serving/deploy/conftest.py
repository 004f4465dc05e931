"""What the tests of serving/deploy share: the files, parsed, and facts of TensorFlow Serving."""

import pathlib
import re
import subprocess
import sys
import sysconfig

import pytest
import yaml

from serving.server.config_protos import MonitoringConfig, read_text_proto

IMAGE = "tensorflow/serving:2.15.1"
# Flags of tensorflow_model_server 2.15, from its model_servers/main.cc.
TF_SERVING_FLAGS = set(
    """
    port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms
    rest_api_enable_cors_support enable_batching allow_version_labels_for_unavailable_models
    batching_parameters_file enable_per_model_batching_parameters model_config_file
    model_config_file_poll_wait_seconds model_name model_base_path num_load_threads
    num_unload_threads max_num_load_retries load_retry_interval_micros
    file_system_poll_wait_seconds flush_filesystem_caches tensorflow_session_parallelism
    tensorflow_session_config_file tensorflow_intra_op_parallelism tensorflow_inter_op_parallelism
    use_alts_credentials ssl_config_file platform_config_file per_process_gpu_memory_fraction
    saved_model_tags grpc_channel_arguments grpc_max_threads enable_model_warmup
    num_request_iterations_for_warmup version monitoring_config_file
    remove_unused_fields_from_bundle_metagraph prefer_tflite_model num_tflite_pools
    num_tflite_interpreters_per_pool enable_signature_method_name_check
    xla_cpu_compilation_enabled enable_profiler thread_pool_factory_config_file
    """.split()
)
# Histograms of TF Serving, from servables/tensorflow/util.cc and batching/batching_session.cc.
TF_SERVING_METRICS = {
    "/tensorflow/serving/request_latency",
    "/tensorflow/serving/runtime_latency",
    "/tensorflow/serving/batching_session/queuing_latency",
}


@pytest.fixture(scope="session")
def facts():
    """The helpers and constants of this file."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def deploy(repo_root):
    return repo_root / "serving" / "deploy"


def load_all(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def flags_of(arguments):
    """--name=value as {name: value}; every flag once, in that form."""
    pairs = [re.fullmatch(r"--(\w+)=(.*)", argument).groups() for argument in arguments]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def container(deployment):
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return only


@pytest.fixture(scope="session")
def base(deploy):
    """Manifest by kind and name, of the files that the kustomization lists."""
    folder = deploy / "kubernetes" / "base"
    (kustomization,) = load_all(folder / "kustomization.yaml")
    listed = kustomization["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(p.name for p in folder.iterdir())
    documents = [document for name in listed for document in load_all(folder / name)]
    return {(d["kind"], d["metadata"]["name"]): d for d in documents}


def kustomized(folder):
    """Manifest by kind and name, as `kubectl apply -k` would send them."""
    kubectl = pathlib.Path(sysconfig.get_path("scripts")) / "kubectl"  # of requirements.txt
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(done.stdout)}


@pytest.fixture(scope="session")
def overlays(deploy):
    """What the base and each overlay give, by name."""
    folders = [path.parent for path in (deploy / "kubernetes").glob("*/kustomization.yaml")]
    return {folder.name: kustomized(folder) for folder in folders}


@pytest.fixture(scope="session")
def deployments(overlays):
    """The Deployment of each."""
    assert set(overlays) == {"base", "gpu", "tls", "embedded", "embedded_tls"}
    return {name: manifests["Deployment", "tf-serving"] for name, manifests in overlays.items()}


@pytest.fixture(scope="session")
def metrics_path(deploy):
    config = read_text_proto(deploy / "monitoring.config", MonitoringConfig).prometheus_config
    assert config.enable
    return config.path
