"""Requests to the toy models, as a raw grpcio stub sends them."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

LANDMARKS = np.full((2, 68, 2), 5, np.float32)
ADAIN = np.zeros((2, 6), np.float32)


def request(model="generator", signature="animate", outputs=(), version=None, label=None, **inputs):
    message = predict_pb2.PredictRequest()
    message.model_spec.name = model
    message.model_spec.signature_name = signature
    if version is not None:
        message.model_spec.version.value = version
    if label is not None:
        message.model_spec.version_label = label
    message.output_filter.extend(outputs)
    for name, value in inputs.items():
        if not isinstance(value, tensor_pb2.TensorProto):
            value = tf.make_tensor_proto(value)
        message.inputs[name].CopyFrom(value)
    return message


def animate(**changes):
    return request(**{"landmarks": LANDMARKS, "adain_params": ADAIN} | changes)


def refusal(call, message) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=60)
    return caught.value.code(), caught.value.details()


def landmarks_proto(**changes) -> tensor_pb2.TensorProto:
    proto = tf.make_tensor_proto(LANDMARKS)
    for name, value in changes.items():
        if name == "dims":
            proto.tensor_shape.ClearField("dim")
            for size in value:
                proto.tensor_shape.dim.add(size=size)
        elif name == "float_val":
            proto.ClearField("tensor_content")
            proto.float_val.extend(value)
        elif name == "unknown_rank":
            proto.tensor_shape.Clear()
            proto.tensor_shape.unknown_rank = value
        else:
            setattr(proto, name, value)
    return proto


def metadata_request(model="generator", fields=("signature_def",)):
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    message.model_spec.name = model
    return message


def status_request(model="generator", version=None):
    message = get_model_status_pb2.GetModelStatusRequest()
    message.model_spec.name = model
    if version is not None:
        message.model_spec.version.value = version
    return message
