"""The port that answers the metrics of the embedded server to Prometheus."""

import os
import socketserver
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import grpc
from prometheus_client import make_wsgi_app

from serving.server.config_protos import MonitoringConfig, read_text_proto
from serving.server.errors import ServingError, invalid_argument
from serving.server.metrics import Metrics

DEFAULT_PATH = "/monitoring/prometheus/metrics"
_SOCKET_SECONDS = 30  # a connection that sends nothing does not keep its thread longer


def metrics_path(config_file: str | os.PathLike | None) -> str | None:
    """Path under which a MonitoringConfig wants the metrics; None if it does not want them.

    Raises:
      ServingError: the file can not be read or is no MonitoringConfig.
    """
    if not config_file:
        return None
    config = read_text_proto(config_file, MonitoringConfig, "monitoring config").prometheus_config
    if config.path and not config.path.startswith("/"):
        raise invalid_argument(f"{config_file}: prometheus_config.path: got {config.path!r}, expected /...")
    return (config.path or DEFAULT_PATH) if config.enable else None


def serve_metrics(metrics: Metrics, host: str, port: int, path: str | None) -> WSGIServer:
    """Answers GET `path` on a port from a thread of its own, and 404 to everything else.

    Raises:
      ServingError: the port can not be had.
    """
    pages = make_wsgi_app(metrics.registry)

    def answer(environ, start_response):
        if path is not None and environ["PATH_INFO"] == path:
            return pages(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [f"expected {path}\n".encode() if path else b"metrics are not enabled\n"]

    try:
        server = make_server(host, port, answer, _Server, _Handler)
    except OSError as error:
        raise ServingError(
            grpc.StatusCode.UNAVAILABLE,
            f"can not listen at {host}:{port} (flags --host, --rest_api_port): {error.strerror}",
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _SOCKET_SECONDS

    def log_message(self, *_):
        pass  # a line for every scrape tells nothing
