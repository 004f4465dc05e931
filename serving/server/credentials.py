"""TLS of the embedded server, from TensorFlow Serving's --ssl_config_file."""

import contextlib
import os

import grpc

from serving.server.config_protos import SSLConfig, read_text_proto
from serving.server.errors import invalid_argument


def read_credentials(path: str | os.PathLike | None) -> grpc.ServerCredentials | None:
    """TLS as an SSLConfig text proto asks for it; None without a file.

    Raises:
      ServingError: the file can not be read, or a field does not fit; both are named.
    """
    if not path:
        return None
    config = read_text_proto(path, SSLConfig, "SSL config")
    required = ["server_key", "server_cert"] + ["custom_ca"] * config.client_verify
    for field in required:
        if "-----BEGIN" not in getattr(config, field):
            raise invalid_argument(f"{path}: {field}: expected a PEM text, not a file's name")
    with contextlib.suppress(ValueError):
        return grpc.ssl_server_credentials(
            [(config.server_key.encode(), config.server_cert.encode())],
            config.custom_ca.encode() or None,
            config.client_verify,
        )
    raise invalid_argument(f"{path}: server_key and server_cert can not be used")
