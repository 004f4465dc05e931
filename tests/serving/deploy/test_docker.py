"""Compose files and the image of the embedded server."""

import ast
import http.server
import json
import os
import re
import subprocess
import sys
import threading

import pytest

from serving.check import check
from serving.client.blocking import TalkingHeadClient


@pytest.fixture(scope="module")
def compose(deploy, facts):
    (document,) = facts.load_all(deploy / "docker-compose.yaml")
    return document["services"]


def test_compose_starts_the_server_with_existing_flags_and_files(deploy, compose, facts):
    service = compose["tf-serving"]
    flags = facts.flags_of(service["command"])
    assert set(flags) <= facts.TF_SERVING_FLAGS
    assert service["entrypoint"] == ["tensorflow_model_server"]
    assert service["image"] == facts.IMAGE + "${TF_SERVING_DIGEST:-}"
    mounted = {}
    for volume in service["volumes"]:
        source, target, mode = volume.rsplit(":", 2)
        assert mode == "ro"
        mounted[target] = source
        if source.startswith("./"):
            assert (deploy / source).is_file()
    for flag, path in flags.items():
        if flag.endswith("_file"):
            assert path in mounted or path.startswith("/models/")
    published = [port.rsplit(":", 1)[1] for port in service["ports"]]
    assert published == [flags["port"], flags["rest_api_port"]]
    for other in compose.values():  # neither has authentication
        assert all(port.startswith("127.0.0.1:") for port in other.get("ports", []))
    assert (deploy / compose["prometheus"]["volumes"][0].split(":")[0]).is_file()


def test_compose_for_a_gpu_changes_only_what_differs(deploy, compose, facts):
    (document,) = facts.load_all(deploy / "docker-compose.gpu.yaml")
    (name,) = document["services"]
    service = document["services"][name]
    assert service["image"] == compose[name]["image"].replace("2.15.1", "2.15.1-gpu")
    (volume,) = service["volumes"]
    source, target, _ = volume.rsplit(":", 2)
    assert (deploy / source).is_file()
    assert target in [v.rsplit(":", 2)[1] for v in compose[name]["volumes"]]  # replaces it
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_images_have_a_tag_and_take_a_digest(deploy, compose):
    for service in compose.values():
        image = re.fullmatch(r"([\w./]+):([\w.-]+)\$\{\w+_DIGEST:-\}", service["image"])
        assert image and image[2] != "latest"
    dockerfile = (deploy / "Dockerfile").read_text()
    (base,) = re.findall(r"^ARG BASE=(\S+)$", dockerfile, re.MULTILINE)
    assert re.fullmatch(r"[\w./]+:(?!latest)[\w.-]+", base)
    assert re.findall(r"^FROM (.*)$", dockerfile, re.MULTILINE) == ["${BASE}"]


def test_nothing_but_tmp_and_volumes_can_be_written_to(compose):
    assert all(service["read_only"] is True for service in compose.values())
    assert compose["tf-serving"]["tmpfs"] == ["/tmp"]


# / read-only, as in the container; what is below TMPDIR is its /tmp.
READ_ONLY = """
set -e
mount --make-rprivate / && mount -o remount,bind,ro / && mount -t tmpfs tmp "$TMPDIR"
if touch "$PROBE" 2>/dev/null; then echo "still writable"; exit 77; fi
touch "$TMPDIR/file"
exec "$@"
"""


def test_the_embedded_server_runs_on_a_read_only_root(toy_models, run_folder, tmp_path):
    sealed = ["unshare", "--mount", "--map-root-user", "bash", "-c", READ_ONLY, "sealed"]
    (tmp_path / "tmp").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "CUDA_VISIBLE_DEVICES": "",
        "TMPDIR": str(tmp_path / "tmp"),
        "PROBE": str(tmp_path / "probe"),
    }
    try:
        allowed = subprocess.run([*sealed, "true"], env=environment, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("needs the program unshare")
    if allowed.returncode:
        pytest.skip(f"may not mount / read-only here: {allowed.stdout}{allowed.stderr}")
    command = [*sealed, sys.executable, "-m", "serving.model_server", "--port=0"]
    command += [f"--model_config_file={toy_models / 'models.config'}", "--enable_batching"]
    with subprocess.Popen(command, cwd=run_folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            target = process.stdout.readline().split(" at ")[1].split()[0]
            with TalkingHeadClient(target, timeout=60) as client:
                assert check(client, frames=1)["frames"] == 2
        finally:
            process.terminate()
        assert process.wait(timeout=60) == 0


class RestApi(http.server.BaseHTTPRequestHandler):
    """TF Serving's status page of one model; `state` None: no such model."""

    state = None

    def do_GET(self):
        status = {"model_version_status": [{"version": "1", "state": self.state}]}
        found = self.state is not None and self.path == "/v1/models/generator"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(json.dumps(status, indent=1).encode() if found else b'{"error": ""}')

    def log_message(self, *_):
        pass


def test_compose_is_healthy_with_an_available_version_only(compose):
    kind, *command = compose["tf-serving"]["healthcheck"]["test"]
    assert kind == "CMD"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RestApi)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert command[-1].count("8501") == 1
    command[-1] = command[-1].replace("8501", str(server.server_port))

    def healthy():
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0

    answers = {}
    for RestApi.state in ("AVAILABLE", "LOADING", "END", None):
        answers[RestApi.state] = healthy()
    server.shutdown()
    server.server_close()
    answers["nobody there"] = healthy()
    assert answers == {"AVAILABLE": True, "LOADING": False, "END": False, None: False, "nobody there": False}


# Names under which packages of requirements.txt are imported.
PACKAGES = {
    "absl": "absl-py",
    "aiohttp": "aiohttp",
    "google": "protobuf",
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "numpy": "numpy",
    "prometheus_client": "prometheus_client",
    "tensorflow": "tensorflow",
    "tensorflow_serving": "tensorflow-serving-api",
}


def imported_by(module, root, seen):
    """Top-level names of what a module of `serving` imports, itself or through others."""
    path = root / (module.replace(".", "/") + ".py")
    if module in seen or not path.is_file():
        return set()
    seen.add(module)
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in found:
            names.add(name.split(".")[0])
            names |= imported_by(name, root, seen)
    return names


def test_the_image_of_the_embedded_server_has_what_it_imports(deploy, repo_root):
    dockerfile = (deploy / "Dockerfile").read_text()
    (pattern,) = re.findall(r"grep -E '([^']+)'", dockerfile)
    requirements = (repo_root / "requirements.txt").read_text()
    installed = {m.group(1) for m in re.finditer(pattern, requirements, re.MULTILINE)}
    asked = set(re.search(r"\((.*)\)", pattern)[1].split("|"))
    assert installed == asked
    seen = set()
    imports = imported_by("serving.model_server", repo_root, seen)
    assert {"serving.model_server", "serving.server.services"} <= seen
    ours = {"serving"}  # what the image copies
    assert "COPY serving serving" in dockerfile
    third_party = imports - ours - set(sys.stdlib_module_names)
    assert third_party <= set(PACKAGES)
    assert {PACKAGES[name] for name in third_party} <= installed


def test_the_image_starts_the_server_with_flags_it_has(deploy, repo_root):
    dockerfile = (deploy / "Dockerfile").read_text()
    commands = [json.loads(text) for text in re.findall(r"(?:ENTRYPOINT|CMD) (\[.*\])", dockerfile)]
    used = {
        re.match(r"--(\w+)", argument)[1] for command in commands for argument in command if argument.startswith("--")
    }
    seen = set()
    imported_by("serving.model_server", repo_root, seen)
    sources = [(repo_root / (name.replace(".", "/") + ".py")).read_text() for name in seen]
    defined = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', "\n".join(sources)))
    assert used and used <= defined
