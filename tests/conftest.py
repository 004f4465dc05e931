"""Shared fixtures. TensorFlow's log is silenced before anything imports it."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repo_root() -> pathlib.Path:
    """The checkout, which programs started by the tests run in."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> pathlib.Path:
    """Folder with real clips and published weights; tests that need it skip where it is missing."""
    path = pathlib.Path(os.environ.get("TF_TALKING_SHARED", ROOT.parent / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"real clips and weights not found at {path} (set TF_TALKING_SHARED)")
    return path


def pytest_configure(config):
    """Two logical CPUs for the tests of replicas: set before anything starts TensorFlow."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
