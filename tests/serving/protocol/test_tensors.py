"""Tensor messages, TensorFlow's and our own, against TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.protocol import api
from serving.protocol.tensors import decode, dtype_name, encode

MESSAGES = [tensor_pb2.TensorProto, api.TensorProto]


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int64", "bool"])
def test_tensor_messages_agree_with_tensorflow(dtype, message):
    array = (np.arange(6).reshape(2, 3) % 5).astype(dtype)
    encoded = encode(array, message()).SerializeToString()
    np.testing.assert_array_equal(tf.make_ndarray(tensor_pb2.TensorProto.FromString(encoded)), array)

    def sent(value):
        return message.FromString(tf.make_tensor_proto(value).SerializeToString())

    np.testing.assert_array_equal(decode(sent(array)), array)
    scalar = decode(sent(array[1, 1]))  # TensorFlow writes scalars into typed fields
    assert scalar == array[1, 1] and scalar.dtype == array.dtype


@pytest.mark.parametrize("message", MESSAGES)
def test_string_tensor_messages(message):
    values = [b"a\x00", b"", "ü".encode()]
    encoded = encode(values, message()).SerializeToString()
    assert tf.make_ndarray(tensor_pb2.TensorProto.FromString(encoded)).tolist() == values
    theirs = message.FromString(tf.make_tensor_proto([values]).SerializeToString())
    assert decode(theirs).tolist() == [values]
    assert decode(encode(b"one", message())).item() == b"one"
    with pytest.raises(ValueError, match="complex64"):
        encode(np.zeros(2, np.complex64), message())


def test_typed_fields_as_tensorflow_serving_answers_by_default():
    frames = api.TensorProto(dtype=types_pb2.DT_UINT8, int_val=[7] * (4 * 4 * 3))
    for size in (1, 4, 4, 3):
        frames.tensor_shape.dim.add(size=size)
    assert decode(frames).dtype == np.uint8 and decode(frames).shape == (1, 4, 4, 3)
    assert (decode(frames) == 7).all()


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        (dict(dtype=types_pb2.DT_UINT8), [16, 8, 256, 256, 3]),  # 100 bytes, 25 million zeros
        (dict(dtype=types_pb2.DT_FLOAT, float_val=[1.0]), [200, 13056]),
        (dict(dtype=types_pb2.DT_STRING), [2**20]),
        (dict(dtype=types_pb2.DT_STRING, string_val=[b"x" * 2**20]), [5]),  # the same photo five times
    ],
)
def test_a_few_bytes_do_not_become_many(message, fields, shape):
    proto = message(**fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(ValueError, match="continuing the last one is limited to 4194304 bytes"):
        decode(proto)
    proto.tensor_shape.dim[0].size = 1
    assert decode(proto).shape == (1, *shape[1:])


def test_names_of_all_dtypes_are_tensorflows():
    for number in range(-2, 200):
        known = number in types_pb2.DataType.values()
        expected = types_pb2.DataType.Name(number).removeprefix("DT_").lower() if known else ""
        assert dtype_name(number) == (expected or f"unknown dtype {number}")
