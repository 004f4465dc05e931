"""`python -m serving.model_server --model_config_file=models.config --port=8500`

The embedded model server: TensorFlow Serving's gRPC services for one machine without TensorFlow
Serving. Same protos, same models.config (or one model: `--model_base_path=/models/generator
--model_name=generator`), same version policy, hot reload and status codes; flags carry TensorFlow
Serving's names where it has them. It knows nothing of this project's networks.

As in TensorFlow Serving the port opens when every configured model has an available version; a
model without a version folder is waited for. A second SIGTERM is not needed: the first one
refuses new requests, finishes those in flight and exits with 0.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow's own pool for oneDNN never gives memory back: after one photo of 15 megapixels the
# server would hold 450 MiB more for ever. The C library's heap is given back (`server.heap`).
os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")

import tensorflow as tf
from absl import app, flags
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.server.batching.batcher import Batcher
from serving.server.batching_parameters import BatchingOptions, read_options
from serving.server.credentials import read_credentials
from serving.server.errors import ServingError, invalid_argument
from serving.server.grpc_server import GrpcServer
from serving.server.heap import keep_heap_small, share_arenas
from serving.server.http.port import HttpPort, metrics_path
from serving.server.http.rest_api import RestApi
from serving.server.metrics import Metrics
from serving.server.models.loader import Loader
from serving.server.models.model_config import read_config, single_model, watch_config
from serving.server.models.model_store import ModelStore
from serving.server.models.versions import VersionTable
from serving.server.services import ModelService, PredictionService
from serving.server_flags import define_flags

FLAGS = flags.FLAGS


def _argument(text: str) -> tuple[str, int | str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise invalid_argument(f"--grpc_channel_arguments: got {text!r}, expected name=value")
    return name, int(value) if value.lstrip("-").isdigit() else value


def _config() -> tuple[ModelServerConfig, str]:
    """What to serve, and the file or flag that says so, for messages."""
    path, folder = FLAGS.model_config_file, FLAGS.model_base_path
    if bool(path) == bool(folder):
        got = "both" if path else "neither"
        raise invalid_argument(f"got {got} of --model_config_file and --model_base_path, expected one of them")
    if path and not FLAGS["model_name"].using_default_value:
        raise invalid_argument("--model_name goes with --model_base_path; --model_config_file has names of its own")
    if path:
        return read_config(path), path
    if FLAGS.model_config_file_poll_wait_seconds:
        raise invalid_argument("--model_config_file_poll_wait_seconds needs a --model_config_file")
    return single_model(FLAGS.model_name, folder), "--model_base_path"


def _batching_options() -> BatchingOptions | None:
    if FLAGS.enable_batching:
        path = FLAGS.batching_parameters_file
        return read_options(path) if path else BatchingOptions()
    for name in ("batching_parameters_file", "enable_per_model_batching_parameters"):
        if FLAGS[name].value:
            raise invalid_argument(f"--{name} is set without setting --enable_batching to true")
    return None


def _metrics_path() -> str | None:
    """Where the HTTP port shows the metrics, if anywhere; the flags of that port fit together."""
    path = metrics_path(FLAGS.monitoring_config_file)
    if path and not FLAGS.rest_api_port:
        raise invalid_argument("--monitoring_config_file needs a --rest_api_port")
    if FLAGS.rest_api_port and FLAGS.rest_api_port == FLAGS.port:
        raise invalid_argument(f"--rest_api_port and --port are both {FLAGS.port}")
    return path


def _rest_api(prediction: PredictionService, model: ModelService, versions: VersionTable) -> RestApi | None:
    """Nothing beside TLS: who may not ask over gRPC must not find another door."""
    if FLAGS.ssl_config_file:
        return None
    return RestApi(prediction, model, versions, FLAGS.rest_api_timeout_in_ms / 1e3)


def _store(metrics: Metrics, batching: BatchingOptions | None) -> ModelStore:
    session = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=FLAGS.tensorflow_intra_op_parallelism,
        inter_op_parallelism_threads=FLAGS.tensorflow_inter_op_parallelism,
    )
    session.gpu_options.allow_growth = True  # models come and go, each in a session of its own
    loader = Loader(
        session,
        batching,
        FLAGS.enable_per_model_batching_parameters,
        FLAGS.enable_model_warmup,
        metrics,
        FLAGS.max_run_seconds or None,
    )
    return ModelStore(
        loader,
        FLAGS.file_system_poll_wait_seconds,
        FLAGS.max_num_load_retries,
        FLAGS.load_retry_interval_micros / 1e6,
        FLAGS.allow_version_labels_for_unavailable_models,
    )


async def serve() -> None:
    """Runs until SIGTERM or SIGINT. Raises ServingError when the start fails."""
    stop = threading.Event()
    stopped = asyncio.Event()

    def end():
        stop.set()
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    credentials = read_credentials(FLAGS.ssl_config_file)
    arguments = tuple(_argument(text) for text in FLAGS.grpc_channel_arguments)
    batching = _batching_options()
    metrics, metrics_at = Metrics(), _metrics_path()
    config, path = _config()
    store = _store(metrics, batching)
    try:
        store.configure(config)
    except ServingError as error:
        raise ServingError(error.code, f"{path}: {error.message}") from error
    async with contextlib.AsyncExitStack() as open_things:
        workers = open_things.enter_context(ThreadPoolExecutor(FLAGS.grpc_max_threads, "worker"))
        batcher = Batcher(batching, metrics) if batching else None
        if batcher:
            open_things.callback(batcher.close)
        store.start()
        open_things.callback(store.close)  # first of all: it ends what took longer than it may
        limit = FLAGS.grpc_max_threads + FLAGS.max_queued_requests
        prediction = PredictionService(store.versions, workers, batcher, limit, metrics, FLAGS.max_request_rows)
        model = ModelService(store)
        if FLAGS.rest_api_port:
            http = HttpPort(metrics, metrics_at, _rest_api(prediction, model, store.versions))
            await http.open(FLAGS.host, FLAGS.rest_api_port)
            open_things.push_async_callback(http.close)
        if not await asyncio.to_thread(store.wait_until_available, cancelled=stop.is_set):
            return
        server = GrpcServer(prediction, model, arguments, FLAGS.reload_config_from)
        port = server.listen(FLAGS.host, FLAGS.port, credentials)
        await server.start()
        poll = FLAGS.model_config_file_poll_wait_seconds
        if poll:
            watched = (store.configure, store.config, path, poll, stop)
            threading.Thread(target=watch_config, args=watched, daemon=True).start()
        print(f"Running gRPC ModelServer at {FLAGS.host}:{port} ...", flush=True)
        keeping = [asyncio.create_task(task) for task in (server.watch_health(store.gone), keep_heap_small())]
        await stopped.wait()
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        await server.stop(FLAGS.shutdown_grace_seconds)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    share_arenas()
    tf.get_logger().setLevel("ERROR")  # the loader's notices; the store logs what matters
    try:
        asyncio.run(serve())
    except ServingError as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    define_flags()
    app.run(main)
