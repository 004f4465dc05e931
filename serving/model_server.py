"""`python -m serving.model_server --model_config_file=models.config --port=8500`

The embedded model server: TensorFlow Serving's gRPC services for one machine without TensorFlow
Serving. Same protos, same models.config, same version policy, hot reload and status codes; flags
carry TensorFlow Serving's names where it has them. It knows nothing of this project's networks.

As in TensorFlow Serving the port opens when every configured model has an available version; a
model without a version folder is waited for. A second SIGTERM is not needed: the first one
refuses new requests, finishes those in flight and exits with 0.
"""

import os
import signal
import sys
import threading

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from absl import app, flags

from serving.errors import ServingError
from serving.grpc_server import announce, build_server, listen
from serving.model_config import read_config, watch_config
from serving.model_store import ModelStore

FLAGS = flags.FLAGS
flags.DEFINE_string("model_config_file", None, "Text proto ModelServerConfig: what to serve.")
flags.DEFINE_integer("port", 8500, "TCP port for gRPC; 0 takes a free one, which is printed.")
flags.DEFINE_string(
    "host", "127.0.0.1", "Address to listen on; 0.0.0.0 for all (there is no authentication)."
)
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
    "Requests that are worked on at the same time.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "max_num_load_retries",
    0,
    "Further attempts at a version that fails to load (TensorFlow Serving's default is 5).",
    lower_bound=0,
)
flags.DEFINE_integer(
    "load_retry_interval_micros", 60 * 10**6, "Time before each of them.", lower_bound=0
)
flags.DEFINE_bool(
    "allow_version_labels_for_unavailable_models",
    False,
    "Accept a new version label before its version is available; needed for labels in the first "
    "configuration.",
)
flags.DEFINE_integer(
    "tensorflow_intra_op_parallelism", 0, "Threads of one operation; 0: all cores."
)
flags.DEFINE_integer(
    "tensorflow_inter_op_parallelism", 0, "Operations at the same time; 0: all cores."
)
flags.DEFINE_float(
    "shutdown_grace_seconds", 30.0, "How long requests in flight may take after SIGTERM."
)


def serve(stop: threading.Event) -> None:
    """Runs until `stop`. Raises ServingError when the start fails."""
    session = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=FLAGS.tensorflow_intra_op_parallelism,
        inter_op_parallelism_threads=FLAGS.tensorflow_inter_op_parallelism,
    )
    session.gpu_options.allow_growth = True  # models come and go, each in a session of its own
    store = ModelStore(
        session,
        FLAGS.file_system_poll_wait_seconds,
        FLAGS.max_num_load_retries,
        FLAGS.load_retry_interval_micros / 1e6,
        FLAGS.allow_version_labels_for_unavailable_models,
    )
    path = FLAGS.model_config_file
    config = read_config(path)
    try:
        store.configure(config)
    except ServingError as error:
        raise ServingError(error.code, f"{path}: {error.message}") from error
    store.start()
    try:
        if not store.wait_until_available(cancelled=stop.is_set):
            return
        server, health_servicer = build_server(store, FLAGS.grpc_max_threads)
        port = listen(server, FLAGS.host, FLAGS.port)
        server.start()
        announce(health_servicer)
        poll = FLAGS.model_config_file_poll_wait_seconds
        if poll:
            arguments = (store.configure, path, config, poll, stop)
            threading.Thread(target=watch_config, args=arguments, daemon=True).start()
        print(f"Running gRPC ModelServer at {FLAGS.host}:{port} ...", flush=True)
        stop.wait()
        health_servicer.enter_graceful_shutdown()
        server.stop(FLAGS.shutdown_grace_seconds).wait()
    finally:
        store.close()


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    tf.get_logger().setLevel("ERROR")  # the loader's notices; the store logs what matters
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        serve(stop)
    except ServingError as error:
        print(f"Failed to start server. Error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    flags.mark_flag_as_required("model_config_file")
    app.run(main)
