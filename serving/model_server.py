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

import tensorflow as tf
from absl import app, flags
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.server.batching.batcher import Batcher
from serving.server.batching_parameters import BatchingOptions, read_options
from serving.server.credentials import read_credentials
from serving.server.errors import ServingError, invalid_argument
from serving.server.grpc_server import GrpcServer
from serving.server.heap import keep_heap_small
from serving.server.http.port import HttpPort, metrics_path
from serving.server.http.rest_api import RestApi
from serving.server.metrics import Metrics
from serving.server.models.loader import Loader
from serving.server.models.model_config import read_config, single_model, watch_config
from serving.server.models.model_store import ModelStore
from serving.server.models.versions import VersionTable
from serving.server.services import ModelService, PredictionService

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Those of TensorFlow Serving under its names. Only when run as a program."""
    flags.DEFINE_string("model_config_file", None, "Text proto ModelServerConfig: what to serve.")
    flags.DEFINE_string("model_base_path", None, "In its place: the folder of the versions of one model.")
    flags.DEFINE_string("model_name", "default", "Name of that model.")
    flags.DEFINE_integer("port", 8500, "TCP port for gRPC; 0 takes a free one, which is printed.")
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 for all (there is no authentication).")
    flags.DEFINE_float(
        "model_config_file_poll_wait_seconds",
        0.0,
        "Time between looks at the model config file; 0 reads it once.",
        lower_bound=0.0,
    )
    flags.DEFINE_float(
        "file_system_poll_wait_seconds",
        1.0,
        "Time between looks for new versions; 0 looks once after each configuration.",
        lower_bound=0.0,
    )
    flags.DEFINE_integer(
        "grpc_max_threads",
        4 * (os.cpu_count() or 1),
        "Requests that are worked on at the same time (those in batches come on top).",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "max_queued_requests",
        256,
        "Predict requests that may wait beyond --grpc_max_threads, in batches or for a thread; "
        "more are answered UNAVAILABLE at once.",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "max_request_rows",
        512,
        "Rows that an input of a request may have: people, or people times frames of each.",
        lower_bound=1,
    )
    flags.DEFINE_float(
        "max_run_seconds",
        60.0,
        "What one run of a graph may take; a longer one is ended by DEADLINE_EXCEEDED. 0: no limit.",
        lower_bound=0.0,
    )
    flags.DEFINE_enum(
        "reload_config_from",
        "local",
        ["none", "local", "all"],
        "Who may change what is served by ReloadConfig requests: nobody, clients on this machine, or all "
        "(TensorFlow Serving lets all).",
    )
    flags.DEFINE_list(
        "grpc_channel_arguments",
        [],
        "Arguments of the gRPC server, name=value (grpc.max_receive_message_length=67108864, the default).",
    )
    flags.DEFINE_bool("enable_batching", False, "Put requests of several clients together.")
    flags.DEFINE_string("batching_parameters_file", None, "Text proto BatchingParameters; needs --enable_batching.")
    flags.DEFINE_bool(
        "enable_per_model_batching_parameters",
        False,
        "Take the parameters, but for the threads, from `batching_params.pbtxt` in the folder of "
        "each version; versions without that file are not batched.",
    )
    flags.DEFINE_bool(
        "enable_model_warmup", True, "Play assets.extra/tf_serving_warmup_requests of a version before it is available."
    )
    flags.DEFINE_string("ssl_config_file", None, "Text proto SSLConfig: serve with TLS; renewed files are taken up.")
    flags.DEFINE_integer(
        "rest_api_port",
        0,
        "TCP port for HTTP: Prometheus metrics and, without --ssl_config_file, the REST API; 0: none.",
    )
    flags.DEFINE_integer("rest_api_timeout_in_ms", 30_000, "What a request to the REST API may take.", lower_bound=1)
    flags.DEFINE_string(
        "monitoring_config_file",
        None,
        "Text proto MonitoringConfig; metrics are answered where it has prometheus_config { "
        "enable: true }, at /monitoring/prometheus/metrics unless it names another path.",
    )
    flags.DEFINE_integer(
        "max_num_load_retries",
        0,
        "Further attempts at a version that fails to load (TensorFlow Serving's default is 5).",
        lower_bound=0,
    )
    flags.DEFINE_integer("load_retry_interval_micros", 60 * 10**6, "Time before each of them.", lower_bound=0)
    flags.DEFINE_bool(
        "allow_version_labels_for_unavailable_models",
        False,
        "Accept a new version label before its version is available; needed for labels in the first configuration.",
    )
    flags.DEFINE_integer("tensorflow_intra_op_parallelism", 0, "Threads of one operation; 0: all cores.")
    flags.DEFINE_integer("tensorflow_inter_op_parallelism", 0, "Operations at the same time; 0: all cores.")
    flags.DEFINE_float("shutdown_grace_seconds", 30.0, "How long requests in flight may take after SIGTERM.")


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
    tf.get_logger().setLevel("ERROR")  # the loader's notices; the store logs what matters
    try:
        asyncio.run(serve())
    except ServingError as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    define_flags()
    app.run(main)
