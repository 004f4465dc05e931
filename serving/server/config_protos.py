"""Config files of the server: text protos of TensorFlow Serving, read in one place.

Of its messages tensorflow-serving-api does not bring

    BatchingParameters   --batching_parameters_file
    SSLConfig            --ssl_config_file
    MonitoringConfig     --monitoring_config_file

Names, numbers and types of the fields are those of TensorFlow Serving's own .proto files
(session_bundle_config, ssl_config, monitoring_config).
"""

import os

import grpc
from google.protobuf import text_format
from google.protobuf.message import Message

from serving.protocol.private_pool import message_classes
from serving.server.errors import ServingError, invalid_argument

_messages = message_classes("""
message tensorflow.serving.BatchingParameters {
  google.protobuf.Int64Value max_batch_size = 1;
  google.protobuf.Int64Value batch_timeout_micros = 2;
  google.protobuf.Int64Value max_enqueued_batches = 3;
  google.protobuf.Int64Value num_batch_threads = 4;
  google.protobuf.StringValue thread_pool_name = 5;
  repeated int64 allowed_batch_sizes = 6;
  bool pad_variable_length_inputs = 7;
  google.protobuf.BoolValue enable_large_batch_splitting = 8;
  google.protobuf.Int64Value max_execution_batch_size = 9;
}
message tensorflow.serving.SSLConfig {
  string server_key = 1; string server_cert = 2; string custom_ca = 3; bool client_verify = 4;
}
message tensorflow.serving.PrometheusConfig { bool enable = 1; string path = 2; }
message tensorflow.serving.MonitoringConfig {
  tensorflow.serving.PrometheusConfig prometheus_config = 1;
}
""")
BatchingParameters = _messages["BatchingParameters"]
SSLConfig = _messages["SSLConfig"]
MonitoringConfig = _messages["MonitoringConfig"]


def read_text_proto(
    path: str | os.PathLike,
    message: type[Message],
    what: str = "config file",
    missing: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT,
    invalid: str = "{path}: no {name}",
) -> Message:
    """Parses a text proto.

    Args:
      what: the file is called that where it can not be read, which is `missing`.
      invalid: the start of what is said of a file that is no such text proto.

    Raises:
      ServingError: names the file, and the line and field that do not fit.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return text_format.Parse(file.read(), message())
    except OSError as error:
        raise ServingError(missing, f"{what} {path}: {error.strerror}") from error
    except (UnicodeDecodeError, text_format.ParseError) as error:
        start = invalid.format(path=path, name=message.DESCRIPTOR.name)
        raise invalid_argument(f"{start}: {error}") from error
