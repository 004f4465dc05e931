"""serving/deploy/kubernetes: each manifest against Kubernetes' schema, and against the others."""

import copy
import json
import re
import shutil

import kubernetes_validate
import pytest
from google.protobuf import text_format

from serving.client import stubs
from serving.server.config_protos import BatchingParameters, SSLConfig, read_text_proto
from tf_talking.served.warmup import MAX_BATCH_SIZE

# The oldest Kubernetes that the manifests are meant for, and the newest with a schema at hand.
KUBERNETES_VERSIONS = ("1.29", "1.37")
APP = {"app": "tf-serving"}


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_manifests_fit_the_kubernetes_schema(base, overlays, version):
    for documents in (base, *overlays.values()):
        for document in documents.values():
            assert kubernetes_validate.validate(document, version, strict=True) == version


def test_the_schema_check_sees_a_typing_error(base, facts):
    wrong = copy.deepcopy(base["Deployment", "tf-serving"])
    facts.container(wrong)["readinesProbe"] = facts.container(wrong).pop("readinessProbe")
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSIONS[-1], strict=True)


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
    # The health service, which TensorFlow Serving has not, tells more than a page of the REST API.
    port = int(facts.flags_of(pod["args"])["port"])
    for probe in ("startupProbe", "readinessProbe"):
        assert pod[probe]["grpc"] == {"port": port} and "httpGet" not in pod[probe]
    pause = int(pod["lifecycle"]["preStop"]["exec"]["command"][1])
    spec = deployments["embedded"]["spec"]["template"]["spec"]
    # The pause and the server's own grace for requests in flight (30 s).
    assert spec["terminationGracePeriodSeconds"] > pause + 30


def test_the_embedded_server_with_tls_reads_the_secret_that_cert_manager_writes(deploy, overlays, deployments, facts):
    spec = deployments["embedded_tls"]["spec"]["template"]["spec"]
    pod, plain = facts.container(deployments["embedded_tls"]), facts.container(deployments["embedded"])
    assert pod["args"] == [*plain["args"], "--ssl_config_file=/ssl/ssl.config"]
    mounts = {mount["mountPath"]: mount for mount in pod["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert not any("subPath" in mount for mount in mounts.values())  # such files are never renewed
    config_map = volumes[mounts["/ssl"]["name"]]["configMap"]["name"]
    config = text_format.Parse(overlays["embedded_tls"]["ConfigMap", config_map]["data"]["ssl.config"], SSLConfig())
    assert config == read_text_proto(deploy / "kubernetes" / "embedded_tls" / "ssl.config", SSLConfig)
    assert "secret" in volumes[mounts["/tls"]["name"]]
    assert [config.server_key, config.server_cert, config.custom_ca] == ["/tls/tls.key", "/tls/tls.crt", "/tls/ca.crt"]
    assert config.client_verify
    # The health service does not answer without TLS: the probes of `embedded` would never succeed.
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert pod[probe]["tcpSocket"] == {"port": "grpc"} and "grpc" not in pod[probe]


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
    cpu, queued = base["HorizontalPodAutoscaler", "tf-serving"]["spec"]["metrics"]
    assert queued["pods"]["metric"]["name"] in named
    assert 1 < int(queued["pods"]["target"]["averageValue"]) <= MAX_BATCH_SIZE
    assert cpu["resource"]["name"] == "cpu" and cpu["resource"]["target"]["averageUtilization"] < 100


def test_the_autoscaler_does_not_see_rest_where_requests_fail(deploy, base, facts):
    """Request and runtime latencies count successes only: they fall while all clients time out."""
    (rules,) = facts.load_all(deploy / "kubernetes" / "prometheus_adapter_rules.yaml")
    for rule in rules["rules"]:
        assert "queuing_latency" in rule["metricsQuery"]
        assert "request_latency" not in rule["metricsQuery"] and "runtime_latency" not in rule["metricsQuery"]
    scaler = base["HorizontalPodAutoscaler", "tf-serving"]["spec"]
    probe = facts.container(base["Deployment", "tf-serving"])["startupProbe"]
    assert scaler["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0
    # Not before a pod that is started meanwhile can be ready.
    start_seconds = probe["periodSeconds"] * probe["failureThreshold"]
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= start_seconds


def test_memory_holds_both_versions_while_one_is_loaded(deployments, deploy, repo_root, facts):
    measured = json.loads((repo_root / "docs" / "figures" / "export_memory.json").read_text())
    generator, embedder = measured["serve_generator"], measured["serve_embedder"]
    needed = 2 * embedder["end_gib"] + generator["end_gib"] + generator["peak_gib"]
    for deployment in deployments.values():
        resources = facts.container(deployment)["resources"]
        (gib,) = re.fullmatch(r"(\d+)Gi", resources["limits"]["memory"]).groups()
        assert needed + 1 < int(gib) < needed + 3  # and not any amount
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
    (compose,) = facts.load_all(deploy / "docker-compose.yaml")
    assert compose["services"]["tf-serving"]["mem_limit"] == f"${{MEMORY:-{gib}g}}"


def test_nothing_but_tmp_can_be_written_to(deployments, facts):
    for deployment in deployments.values():
        pod = facts.container(deployment)
        assert pod["securityContext"]["readOnlyRootFilesystem"] is True
        (writable,) = [mount for mount in pod["volumeMounts"] if not mount.get("readOnly")]
        volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
        assert writable["mountPath"] == "/tmp" and "emptyDir" in volumes[writable["name"]]


def test_services_tell_their_protocol(overlays):
    for name, manifests in overlays.items():
        for service in ("tf-serving", "tf-serving-headless"):
            port = manifests["Service", service]["spec"]["ports"][0]
            assert port["name"] == "grpc"
            # Only plain HTTP/2 is h2c; a mesh that took TLS for it would see garbage.
            assert port["appProtocol"] == ("https" if name.endswith("tls") else "kubernetes.io/h2c")


def test_images_have_a_tag_and_take_a_digest(deploy, deployments, facts, tmp_path):
    for deployment in deployments.values():
        name, _, tag = facts.container(deployment)["image"].rpartition(":")
        assert name and tag != "latest" and "/" not in tag
    digest = "sha256:" + "0123456789abcdef" * 4
    for overlay, tag in (("base", "2.15.1"), ("gpu", "2.15.1-gpu")):
        folder = tmp_path / overlay  # beside a copy: kustomize reads relative paths only
        shutil.copytree(deploy / "kubernetes", folder / "kubernetes")
        (folder / "kustomization.yaml").write_text(
            f"resources: [kubernetes/{overlay}]\n"
            f"images: [{{name: tensorflow/serving, newTag: {tag}, digest: '{digest}'}}]\n"
        )
        pod = facts.container(facts.kustomized(folder)["Deployment", "tf-serving"])
        assert pod["image"] == f"tensorflow/serving:{tag}@{digest}"


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
