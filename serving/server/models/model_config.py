"""Reads and validates `models.config`, the ModelServerConfig text proto of TensorFlow Serving.

Rules and messages are TensorFlow Serving's; where a file is known, the message starts with its
name and the entry.
"""

import os
import re
import threading
from collections.abc import Callable

import grpc
from absl import logging
from tensorflow_serving.config import model_server_config_pb2

from serving.server.config_protos import read_text_proto
from serving.server.errors import ServingError, invalid_argument

_PLATFORM = "tensorflow"
_VERSION = re.compile(r"[+-]?\d+")
_MAX_VERSION = 2**63 - 1


def read_config(path: str | os.PathLike) -> model_server_config_pb2.ModelServerConfig:
    """Parses the file.

    Raises:
      ServingError: the file can not be read, or is not such a text proto (line, column and
        field are named).
    """
    return read_text_proto(
        path,
        model_server_config_pb2.ModelServerConfig,
        "model_config_file",
        missing=grpc.StatusCode.NOT_FOUND,
        invalid="Invalid protobuf file: '{path}'",
    )


def single_model(name: str, base_path: str) -> model_server_config_pb2.ModelServerConfig:
    """The configuration of one model, without a file."""
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=_PLATFORM)
    return config


def watch_config(
    configure: Callable[[model_server_config_pb2.ModelServerConfig], object],
    current: Callable[[], model_server_config_pb2.ModelServerConfig],
    path: str | os.PathLike,
    seconds: float,
    stop: threading.Event,
) -> None:
    """Looks at the file every `seconds`; hands on what differs from what is served now.

    So the file has the last word, as in TensorFlow Serving: what a ReloadConfig request changed
    lasts until the next look. What is bad is logged.

    Args:
      configure: takes over a configuration.
      current: the one that is in force.
    """
    while not stop.wait(seconds):
        try:
            config = read_config(path)
            if config != current():
                configure(config)
        except ServingError as error:
            logging.error("Failed to reload ModelServerConfig file %s: %s", path, error)


def validate(
    config: model_server_config_pb2.ModelServerConfig, current: model_server_config_pb2.ModelServerConfig
) -> None:
    """Raises ServingError where TensorFlow Serving refuses to go from `current` to `config`."""
    if config.WhichOneof("config") == "custom_model_config":
        raise ServingError(
            grpc.StatusCode.FAILED_PRECONDITION, "custom_model_config is not supported, expected model_config_list"
        )
    if current.WhichOneof("config") and not config.WhichOneof("config"):
        raise ServingError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "Cannot transition to requested config. It is only legal to transition from one "
            "ModelConfigList to another.",
        )
    seen = set()
    for index, model in enumerate(config.model_config_list.config):
        if not model.name:
            raise invalid_argument(f"model_config_list.config[{index}]: field name is empty")
        if model.name in seen:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        seen.add(model.name)
        _validate_model(model)


def _validate_model(model: model_server_config_pb2.ModelConfig) -> None:
    if not os.path.isabs(model.base_path):
        raise invalid_argument(
            f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
        )
    if not model.model_platform and not model.model_type:
        raise invalid_argument(
            f"Model {model.name}: Illegal setting neither ModelServerConfig::model_type "
            "(deprecated) nor ModelServerConfig::model_platform."
        )
    if model.model_platform and model.model_type:
        raise invalid_argument(
            f"Model {model.name}: Illegal setting both ModelServerConfig::model_type "
            "(deprecated) and ModelServerConfig::model_platform."
        )
    if model.model_platform not in ("", _PLATFORM):
        raise invalid_argument(f"Model {model.name} requests unsupported platform {model.model_platform}")
    if model.HasField("logging_config"):
        raise invalid_argument(f"Model {model.name}: logging_config is not supported")
    # TensorFlow Serving would log this and wait for the folder for ever.
    if not os.path.isdir(model.base_path):
        raise invalid_argument(
            f"Could not find base path {model.base_path} for servable {model.name} (field base_path)"
        )


def aspired_versions(model: model_server_config_pb2.ModelConfig) -> dict[int, str] | None:
    """Version -> folder of what the model's version policy asks for now.

    None when the base path can not be read: what is loaded then stays.
    """
    try:
        children = sorted(entry.name for entry in os.scandir(model.base_path) if entry.is_dir())
    except OSError as error:
        logging.error("Could not find base path %s for servable %s: %s", model.base_path, model.name, error)
        return None
    found = {
        int(child): os.path.join(model.base_path, child)
        for child in children
        if _VERSION.fullmatch(child) and abs(int(child)) <= _MAX_VERSION
    }
    policy = model.model_version_policy
    if policy.WhichOneof("policy_choice") == "all":
        return found
    if policy.WhichOneof("policy_choice") == "specific":
        missing = sorted(set(policy.specific.versions) - set(found))
        if missing:
            logging.log_every_n_seconds(
                logging.WARNING,
                "Versions %s of servable %s, requested by its version policy, were not found in %s",
                30,
                missing,
                model.name,
                model.base_path,
            )
        return {v: path for v, path in found.items() if v in policy.specific.versions}
    latest = sorted(found)[-max(policy.latest.num_versions, 1) :]
    return {version: found[version] for version in latest}
