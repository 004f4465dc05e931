"""TensorFlow Serving's messages that tensorflow-serving-api does not bring.

    BatchingParameters   --batching_parameters_file
    SSLConfig            --ssl_config_file
    MonitoringConfig     --monitoring_config_file

Names, numbers and types of the fields are those of TensorFlow Serving's own .proto files
(session_bundle_config, ssl_config, monitoring_config), built here in a descriptor pool of their
own, so that they can not clash with a later package that has them.
"""

import os

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from google.protobuf.message import Message

_PACKAGE = "tensorflow.serving"
_INT64, _STRING, _BOOL = ".google.protobuf.Int64Value", ".google.protobuf.StringValue", "bool"
_BOOL_VALUE = ".google.protobuf.BoolValue"

# message → (field, number, type, repeated)
_MESSAGES = {
    "BatchingParameters": (
        ("max_batch_size", 1, _INT64, False),
        ("batch_timeout_micros", 2, _INT64, False),
        ("max_enqueued_batches", 3, _INT64, False),
        ("num_batch_threads", 4, _INT64, False),
        ("thread_pool_name", 5, _STRING, False),
        ("allowed_batch_sizes", 6, "int64", True),
        ("pad_variable_length_inputs", 7, _BOOL, False),
        ("enable_large_batch_splitting", 8, _BOOL_VALUE, False),
        ("max_execution_batch_size", 9, _INT64, False),
    ),
    "SSLConfig": (
        ("server_key", 1, "string", False),
        ("server_cert", 2, "string", False),
        ("custom_ca", 3, "string", False),
        ("client_verify", 4, _BOOL, False),
    ),
    "PrometheusConfig": (("enable", 1, _BOOL, False), ("path", 2, "string", False)),
    "MonitoringConfig": (("prometheus_config", 1, f".{_PACKAGE}.PrometheusConfig", False),),
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    field = descriptor_pb2.FieldDescriptorProto
    kinds = {"int64": field.TYPE_INT64, "string": field.TYPE_STRING, "bool": field.TYPE_BOOL}
    file = descriptor_pb2.FileDescriptorProto(
        name="tf_talking/serving_config.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, repeated in fields:
            added = message.field.add(name=field_name, number=number)
            added.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            added.type = kinds.get(kind, field.TYPE_MESSAGE)
            if kind not in kinds:
                added.type_name = kind
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
_pool.Add(_file())


def _class(name: str) -> type[Message]:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


BatchingParameters = _class("BatchingParameters")
SSLConfig = _class("SSLConfig")
MonitoringConfig = _class("MonitoringConfig")


def read_text_proto(path: str | os.PathLike, message: type[Message]) -> Message:
    """Parses a text proto.

    Raises:
      ValueError: names the file, and the line and field that do not fit.
      FileNotFoundError: there is no such file.
    """
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        return text_format.Parse(text, message())
    except text_format.ParseError as error:
        raise ValueError(f"{path}: no {message.DESCRIPTOR.name}: {error}") from error
