"""Shared fixtures. TensorFlow's log is silenced and oneDNN on before anything imports it."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from tf_talking.config import get_preset  # its package asks for oneDNN before TensorFlow starts

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repo_root() -> pathlib.Path:
    """The checkout, which programs started by the tests run in."""
    return ROOT


@pytest.fixture(scope="session")
def run_command(repo_root):
    """(module, arguments, options of subprocess.run) -> the process that ran `python -m module`."""

    def run(module: str, *arguments, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            **{"cwd": repo_root, "capture_output": True, "text": True, "timeout": 600} | options,
        )

    return run


@pytest.fixture(scope="session")
def shared_file():
    """Name of a real clip or of published weights -> its path; where it is missing the test skips.

    They can not be passed on with the project. What a test of a format, a shape or a refusal needs
    is made by the test; what is asked for here is the real thing's agreement with a published fact.
    """
    folder = pathlib.Path(os.environ.get("TF_TALKING_SHARED", ROOT.parent / "shared"))

    def find(name: str) -> pathlib.Path:
        if not (folder / name).exists():
            pytest.skip(f"{folder / name} is missing (TF_TALKING_SHARED names the folder of real clips and weights)")
        return folder / name

    return find


@pytest.fixture(scope="session")
def nano_config():
    """The `tiny` preset at 32 px with few channels: every part is there, a step takes little."""
    tiny = get_preset("tiny")
    return dataclasses.replace(
        tiny,
        name="nano",
        model=dataclasses.replace(
            tiny.model,
            image_size=32,
            min_channels=8,
            max_channels=16,
            num_residual_blocks=1,
            attention_down=16,
            attention_up=16,
        ),
        landmarks=dataclasses.replace(tiny.landmarks, detector="procedural"),
        losses=dataclasses.replace(
            tiny.losses, content_pixel=10.0, content_vgg19=0.0, content_face=0.0, face_features="none"
        ),
        train=dataclasses.replace(tiny.train, k_shot=2, batch_size=4),
        finetune=dataclasses.replace(tiny.finetune, learning_rate=1e-3),
    )


@pytest.fixture(scope="session")
def eager_step():
    """A trainer's step on a batch without tracing it, which takes longer than running it once."""
    import tensorflow as tf

    def step(trainer, batch) -> dict:
        tf.config.run_functions_eagerly(True)
        try:
            return dict(trainer.train_step(batch))
        finally:
            tf.config.run_functions_eagerly(False)

    return step


def pytest_configure(config):
    """Two logical CPUs for the tests of replicas: set before anything starts TensorFlow."""
    import tensorflow as tf

    config.addinivalue_line("markers", "bfloat16: needs convolutions in bfloat16")
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@functools.cache
def convolves_bfloat16() -> bool:
    """Every CPU does, with or without instructions for it; but not oneDNN on one that has AVX-512
    while ONEDNN_MAX_CPU_ISA forbids it: TensorFlow asks the CPU, oneDNN the variable."""
    import tensorflow as tf

    ones = tf.ones([1, 8, 8, 8], tf.bfloat16)
    try:
        tf.nn.conv2d(ones, ones, 1, "SAME")
    except tf.errors.AbortedError:
        return False
    return True


def pytest_runtest_setup(item):
    if item.get_closest_marker("bfloat16") and not convolves_bfloat16():
        limit = os.environ.get("ONEDNN_MAX_CPU_ISA")
        pytest.skip(f"oneDNN refuses bfloat16 with ONEDNN_MAX_CPU_ISA={limit} on this CPU")
