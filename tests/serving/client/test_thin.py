"""The client where there is no TensorFlow: from the sources with it hidden, and as a distribution
of its own in an environment that has nothing but what the distribution asks for."""

import importlib.metadata
import os
import pathlib
import subprocess
import sys
import venv

import numpy as np
import pytest

from serving.client import TalkingHeadClient
from tests.serving.client_helpers import SIZE, make_card, track

HIDE = """
import sys
for name in ("tensorflow", "tensorflow_serving", "keras", "grpc_health", "cv2", "absl"):
    sys.modules[name] = None  # an import fails
"""
USE = """
import asyncio, pathlib, sys
import numpy as np
from serving.client import AsyncTalkingHeadClient, TalkingHeadClient
from tf_talking.people.card import PersonCard
from tf_talking.people.registry import PersonRegistry

target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
registry = PersonRegistry(folder / "people")
card = registry.load(registry.names()[0])
given = np.load(folder / "given.npz")
track = given["landmarks"]
with TalkingHeadClient(target) as client:
    client.wait_until_ready(["generator", "embedder"])
    assert client.healthy() is True
    assert client.model_status("generator")[0].state == "AVAILABLE"
    assert "animate" in client.metadata("generator")
    embedding, adain_params = client.embed(given["frames"], track[:2])
    files = list(client.animate_jpeg(track, card, batch_size=2))
    card.save(folder / "again.npz")
    assert PersonCard.load(folder / "again.npz") == card

async def stream():
    async with AsyncTalkingHeadClient(target) as client:
        assert (await client.embed(given["frames"], track[:2]))[0].tolist() == embedding.tolist()
        return [item.jpeg async for item in client.stream(iter(track), card)]

assert asyncio.run(stream()) == files
loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
assert not loaded & {"tensorflow", "tensorflow_serving", "keras", "grpc_health", "cv2", "absl"}
np.savez(folder / "seen.npz", embedding=embedding, adain_params=adain_params, files=files)
"""


@pytest.fixture
def folder(tmp_path):
    """What the program reads: somebody's card, frames, a landmark track."""
    make_card().save(tmp_path / "people/Ada.npz")
    frames = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
    np.savez(tmp_path / "given.npz", frames=frames, landmarks=track(5))
    return tmp_path


def check(folder, target, *command, **options):
    """Runs the program, and compares what it saw with what a client in this process sees."""
    result = subprocess.run([*command, target, str(folder)], capture_output=True, text=True, timeout=120, **options)
    assert result.returncode == 0, result.stderr
    seen, frames = np.load(folder / "seen.npz"), np.load(folder / "given.npz")["frames"]
    with TalkingHeadClient(target) as client:
        embedding, adain_params = client.embed(frames, track(2))
        np.testing.assert_array_equal(seen["embedding"], embedding)
        np.testing.assert_array_equal(seen["adain_params"], adain_params)
        assert seen["files"].tolist() == list(client.animate_jpeg(track(5), make_card()))


def test_the_client_works_where_tensorflow_can_not_be_imported(toy_server, folder, repo_root):
    check(folder, toy_server.target, sys.executable, "-c", HIDE + USE, cwd=repo_root)


DETECT = """
import sys
import numpy as np
import serving.animate, serving.check, serving.webcam
from tf_talking.landmarks.detectors import get_detector

with get_detector("mediapipe", "ibug68") as detector:
    detector.detect([np.zeros((64, 64, 3), np.uint8)])
loaded = {name.partition(".")[0] for name in sys.modules}
assert "mediapipe" in loaded and not loaded & {"tensorflow", "tensorflow_serving", "keras", "torch"}
"""


def test_programs_that_only_ask_a_server_load_no_tensorflow_to_detect(repo_root):
    result = subprocess.run([sys.executable, "-c", DETECT], cwd=repo_root, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()


@pytest.fixture
def bare_python(tmp_path):
    """The interpreter of a new environment with NumPy, gRPC and protobuf of this one."""
    home = tmp_path / "environment"
    venv.create(home, symlinks=True)
    (packages,) = home.glob("lib/*/site-packages")
    for name in ("numpy", "grpcio", "protobuf"):
        distribution = importlib.metadata.distribution(name)
        tops = set()
        for file in distribution.files:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                depth = 2 if file.parts[0] == "google" else 1  # shared with others
                tops.add(pathlib.Path(*file.parts[:depth]))
        for top in tops:
            (packages / top).parent.mkdir(exist_ok=True)
            (packages / top).symlink_to(distribution.locate_file(top))
    return home / "bin/python"


def test_the_distribution_installs_and_works_alone(toy_server, folder, bare_python, repo_root):
    def pip(*arguments):
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stdout + result.stderr

    offline = ("--no-index", "--no-cache-dir")
    source = repo_root / "serving/client"
    pip("wheel", *offline, "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", source)
    (wheel,) = folder.glob("*.whl")
    pip("--python", bare_python, "install", *offline, wheel)  # what it asks for is there
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    arguments = (str(bare_python), "-I", "-c", USE)
    check(folder, toy_server.target, *arguments, cwd=folder, env=environment)
    (packages,) = bare_python.parent.parent.glob("lib/*/site-packages")
    installed = {str(file.relative_to(packages)) for file in packages.glob("**/*.py")}
    for package in ("serving", "tf_talking"):
        ours = {name for name in installed if name.startswith(f"{package}/")}
        assert ours and all((repo_root / name).is_file() for name in ours)
    assert {"serving/server", "serving/drive"}.isdisjoint(os.path.dirname(n) for n in installed)
