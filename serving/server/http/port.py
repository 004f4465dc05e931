"""The HTTP port of the embedded server: TensorFlow Serving's REST API, and metrics for Prometheus.

In the event loop of the gRPC server: requests that wait cost no thread, and who goes away cancels.
"""

import os

import grpc
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from serving.server.config_protos import MonitoringConfig, read_text_proto
from serving.server.errors import ServingError, invalid_argument
from serving.server.http.rest_api import MAX_BODY_BYTES, RestApi
from serving.server.metrics import Metrics

DEFAULT_PATH = "/monitoring/prometheus/metrics"
_IDLE_SECONDS = 30  # a connection that sends nothing is closed


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


class HttpPort:
    """Answers from `open` until `close`.

    Args:
      metrics: shown at `path`.
      path: of the metrics; None: they are not shown.
      rest: answers all paths that begin with /v1/; None: nobody does.
    """

    def __init__(self, metrics: Metrics, path: str | None, rest: RestApi | None = None):
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        if path:
            page = web.get(path, lambda _: _page(metrics))
            app.router.add_routes([page])
        if rest:
            app.router.add_route("*", "/{rest:(?i:v1)(/.*)?}", rest.answer)
        self._runner = web.AppRunner(
            app,
            access_log=None,  # a line for every scrape tells nothing
            handle_signals=False,
            handler_cancellation=True,
            keepalive_timeout=_IDLE_SECONDS,
            shutdown_timeout=1.0,
        )

    async def open(self, host: str, port: int) -> None:
        """Listens. Raises ServingError naming the address."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, reuse_port=False).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE,
                f"can not listen at {host}:{port} (flags --host, --rest_api_port): {error.strerror}",
            ) from error

    async def close(self) -> None:
        """Nothing new is taken, what is under way may take a second."""
        await self._runner.cleanup()


async def _page(metrics: Metrics) -> web.Response:
    return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
