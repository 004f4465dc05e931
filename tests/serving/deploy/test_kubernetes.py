"""serving/deploy/kubernetes: each manifest against Kubernetes' schema, and against the others."""

import copy
import pathlib
import re
import subprocess
import sysconfig

import kubernetes_validate
import pytest
import yaml

from serving.client import stubs
from serving.server.config_protos import BatchingParameters, read_text_proto
from tf_talking.served.warmup import MAX_BATCH_SIZE

# The oldest Kubernetes that the manifests are meant for, and the newest with a schema at hand.
KUBERNETES_VERSIONS = ("1.29", "1.37")
APP = {"app": "tf-serving"}


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_manifests_fit_the_kubernetes_schema(base, deployments, version):
    for document in [*base.values(), *deployments.values()]:
        used = kubernetes_validate.validate(document, version, strict=True)
        assert used == version


def test_the_schema_check_sees_a_typing_error(base, facts):
    wrong = copy.deepcopy(base["Deployment", "tf-serving"])
    facts.container(wrong)["readinesProbe"] = facts.container(wrong).pop("readinessProbe")
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSIONS[-1], strict=True)


def test_kustomize_gives_the_same_deployments(deploy, deployments):
    kubectl = pathlib.Path(sysconfig.get_path("scripts")) / "kubectl"  # of requirements.txt
    for name, expected in deployments.items():
        done = subprocess.run(
            [kubectl, "kustomize", str(deploy / "kubernetes" / name)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        (built,) = [d for d in yaml.safe_load_all(done.stdout) if d["kind"] == "Deployment"]
        assert built == expected


def test_labels_and_selectors_agree(base):
    spec = base["Deployment", "tf-serving"]["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == APP
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == APP
    for name in ("tf-serving", "tf-serving-headless"):
        assert base["Service", name]["spec"]["selector"] == APP
    for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        assert base[kind, "tf-serving"]["spec"][field]["matchLabels"] == APP
    scaler = base["HorizontalPodAutoscaler", "tf-serving"]["spec"]
    target = base["Deployment", scaler["scaleTargetRef"]["name"]]
    assert scaler["scaleTargetRef"] == {
        "kind": target["kind"],
        "name": "tf-serving",
        "apiVersion": target["apiVersion"],
    }
    assert "replicas" not in spec  # the autoscaler's
    # One pod may always go: with a single one the budget would take the service down.
    assert base["PodDisruptionBudget", "tf-serving"]["spec"]["maxUnavailable"] == 1
    assert scaler["minReplicas"] > 1


def test_ports_agree(base, facts):
    pod = facts.container(base["Deployment", "tf-serving"])
    ports = {port["name"]: port["containerPort"] for port in pod["ports"]}
    flags = facts.flags_of(pod["args"])
    assert ports == {"grpc": int(flags["port"]), "rest": int(flags["rest_api_port"])}
    headless = base["Service", "tf-serving-headless"]["spec"]
    assert headless["clusterIP"] == "None"
    for service in (headless, base["Service", "tf-serving"]["spec"]):
        for port in service["ports"]:
            assert port["targetPort"] == port["name"] and port["port"] == ports[port["name"]]
    for rule in base["NetworkPolicy", "tf-serving"]["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= set(ports)
    annotations = base["Deployment", "tf-serving"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["rest"])


def test_probes_depend_on_a_loaded_model(base, facts):
    pod = facts.container(base["Deployment", "tf-serving"])
    # /v1/models/generator would answer 200 while the only version is LOADING.
    for probe in ("startupProbe", "readinessProbe"):
        assert pod[probe]["httpGet"] == {"path": "/v1/models/generator/metadata", "port": "rest"}
    assert pod["livenessProbe"]["tcpSocket"]["port"] == "grpc"
    minutes = pod["startupProbe"]["periodSeconds"] * pod["startupProbe"]["failureThreshold"] / 60
    assert minutes >= 5


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_full_queue_has_threads_to_wait_in(base, facts, deploy, device):
    """By default 4 threads a core: on 2 cores no batch of 16 could ever come together."""
    flags = facts.flags_of(facts.container(base["Deployment", "tf-serving"])["args"])
    (compose,) = facts.load_all(deploy / "docker-compose.yaml")
    assert (
        facts.flags_of(compose["services"]["tf-serving"]["command"])["grpc_max_threads"] == (flags["grpc_max_threads"])
    )
    parameters = read_text_proto(deploy / f"batching_parameters_{device}.txt", BatchingParameters)
    batches = parameters.max_enqueued_batches.value + parameters.num_batch_threads.value
    assert int(flags["grpc_max_threads"]) > batches * parameters.max_batch_size.value


def test_threads_are_those_of_the_request(base, facts):
    pod = facts.container(base["Deployment", "tf-serving"])
    threads = facts.flags_of(pod["args"])["tensorflow_intra_op_parallelism"]
    assert threads == pod["resources"]["requests"]["cpu"]


def test_clients_have_left_before_the_pod_is_killed(base, facts):
    spec = base["Deployment", "tf-serving"]["spec"]["template"]["spec"]
    flags = facts.flags_of(facts.container(base["Deployment", "tf-serving"])["args"])
    pairs = flags["grpc_channel_arguments"]
    milliseconds = {key: int(value) for key, value in (p.split("=") for p in pairs.split(","))}
    assert set(milliseconds) == {"grpc.max_connection_age_ms", "grpc.max_connection_age_grace_ms"}
    age, grace = (milliseconds[f"grpc.max_connection_age{suffix}_ms"] for suffix in ("", "_grace"))
    assert spec["terminationGracePeriodSeconds"] * 1000 > 2 * 1.1 * age + grace  # 10 % of jitter


@pytest.mark.parametrize("name", ["base", "gpu", "tls"])
def test_flags_exist_and_files_are_mounted(base, deployments, name, facts):
    pod = facts.container(deployments[name])
    assert pod["command"] == ["tensorflow_model_server"]
    flags = facts.flags_of(pod["args"])
    assert set(flags) <= facts.TF_SERVING_FLAGS
    assert pod["image"] == facts.IMAGE + ("-gpu" if name == "gpu" else "")
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["volumeMounts"]}
    volumes = {v["name"]: v for v in deployments[name]["spec"]["template"]["spec"]["volumes"]}
    assert set(mounts.values()) == set(volumes)
    for flag, path in flags.items():
        if flag.endswith("_file"):
            mount, file = path.rsplit("/", 1)
            volume = volumes[mounts[mount]]
            if "configMap" in volume:
                assert file in base["ConfigMap", volume["configMap"]["name"]]["data"]
    assert flags["enable_batching"] == flags["enable_per_model_batching_parameters"] == "true"
    device = "gpu" if name == "gpu" else "cpu"
    assert flags["batching_parameters_file"] == f"/config/batching_parameters_{device}.txt"
    assert flags.get("ssl_config_file") == ("/ssl/ssl.config" if name == "tls" else None)
    assert pod["resources"]["limits"].get("nvidia.com/gpu") == (1 if name == "gpu" else None)


def test_the_embedded_server_takes_the_same_flags_and_has_other_probes(deployments, facts):
    pod = facts.container(deployments["embedded"])
    (host,) = pod["command"][3:]
    assert pod["command"][:3] == ["python", "-m", "serving.model_server"]
    assert host == "--host=0.0.0.0"  # its default is this machine only
    assert pod["args"] == facts.container(deployments["base"])["args"]
    # No REST API there: a probe of the base that is left would never succeed.
    port = int(facts.flags_of(pod["args"])["port"])
    for probe in ("startupProbe", "readinessProbe"):
        assert pod[probe]["grpc"] == {"port": port} and "httpGet" not in pod[probe]
    pause = int(pod["lifecycle"]["preStop"]["exec"]["command"][1])
    spec = deployments["embedded"]["spec"]["template"]["spec"]
    # The pause and the server's own grace for requests in flight (30 s).
    assert spec["terminationGracePeriodSeconds"] > pause + 30


def test_config_map_holds_the_files_as_they_are(deploy, base):
    data = base["ConfigMap", "tf-serving-config"]["data"]
    assert len(data) == 3
    for name, text in data.items():
        assert text == (deploy / name).read_text()


def test_the_autoscaler_s_metric_is_one_that_tf_serving_has(deploy, base, facts):
    (rules,) = facts.load_all(deploy / "kubernetes" / "prometheus_adapter_rules.yaml")
    # TF Serving's exporter writes a colon for whatever Prometheus does not allow.
    exported = {re.sub("[^a-zA-Z0-9_]", ":", name) + "_sum" for name in facts.TF_SERVING_METRICS}
    named = {}
    for rule in rules["rules"]:
        named[rule["name"]["as"]] = rule
        (series,) = re.findall(r'__name__="([^"]+)"', rule["seriesQuery"])
        assert re.findall(r'__name__="([^"]+)"', rule["metricsQuery"]) == [series]
        assert series in exported
        assert "<<.LabelMatchers>>" in rule["metricsQuery"]
        assert "<<.GroupBy>>" in rule["metricsQuery"]
        assert rule["metricsQuery"].endswith("/ 1e6")  # microseconds
        assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}
    for metric in base["HorizontalPodAutoscaler", "tf-serving"]["spec"]["metrics"]:
        assert metric["pods"]["metric"]["name"] in named
        assert 1 < int(metric["pods"]["target"]["averageValue"]) <= MAX_BATCH_SIZE


def test_metrics_are_scraped_where_they_are(deploy, base, metrics_path, facts):
    annotations = base["Deployment", "tf-serving"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == metrics_path
    (prometheus,) = facts.load_all(deploy / "prometheus.yaml")
    (job,) = prometheus["scrape_configs"]
    assert job["metrics_path"] == metrics_path
    assert job["static_configs"] == [{"targets": ["tf-serving:8501"]}]


def test_envoy_sends_to_the_headless_service(deploy, base, facts):
    (envoy,) = facts.load_all(deploy / "envoy.yaml")
    resources = envoy["static_resources"]
    (cluster,), (listener,) = resources["clusters"], resources["listeners"]
    (filters,) = listener["filter_chains"]
    manager = filters["filters"][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    assert {route["route"]["cluster"] for route in host["routes"]} == {cluster["name"]}
    passed_on = [route["match"].get("prefix") or route["match"]["path"] for route in host["routes"]]
    for path in (stubs.PREDICT, stubs.GET_METADATA, stubs.GET_STATUS, stubs.CHECK_HEALTH):
        assert any(path.startswith(start) for start in passed_on), path
    reload = stubs.GET_STATUS.replace("GetModelStatus", "HandleReloadConfigRequest")
    assert not any(reload.startswith(start) for start in passed_on)
    (group,) = cluster["load_assignment"]["endpoints"]
    (endpoint,) = group["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    service = base["Service", address["address"]]["spec"]
    assert service["clusterIP"] == "None"  # one address for each pod, not one for all
    assert address["port_value"] in [port["port"] for port in service["ports"]]
    protocols = cluster["typed_extension_protocol_options"]
    (options,) = protocols.values()
    assert "http2_protocol_options" in options["explicit_http_config"]  # gRPC
