"""Flags of the embedded server, under TensorFlow Serving's names where it has them."""

import os

from absl import flags


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
