"""SFace: the face recogniser whose embedding can stand beside ê ("borrowed identity").

Not the paper's: a named option, off in `paper`. The network is a MobileNet of 14 stages trained
with the sigmoid-constrained hypersphere loss (Zhong et al., 2021): one aligned face of 112 x 112
pixels in, 128 numbers out, compared by cosine (one person above about 0.36). It is the one
recogniser that may be passed on (Apache 2.0, NOTICE beside this file), so it trains, travels in
bundles and stands in the exported embedder; the loss and the metric take others.

Weights are bytes with a scale and an offset for every 64 (or fewer) inputs of a filter; they are
made float32 here, with the batch norms folded into the layer before (the last one's input norm
into the layer itself). Conventions: RGB 0..255, faces aligned as for ArcFace
(`tf_talking.content.alignment`).
"""

import functools
import hashlib

import keras
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tf_talking.content.arcface import SIDE
from tf_talking.content.sface import FILE, SHA256

EMBEDDING_SIZE = 128
_STAGES = 14
_HALVING = (3, 5, 7, 13)  # stages whose depthwise convolution has stride 2
_TYPES = {1: "<f4", 3: "<i1", 7: "<i8"}  # ONNX's: float, int8, int64

# The few fields of ONNX's messages that hold named tensors: message → (field, number, type).
_MESSAGES = {
    "Model": (("graph", 7, "Graph"),),
    "Graph": (("initializer", 5, "Tensor"),),
    "Tensor": (
        ("dims", 1, "int64"),
        ("data_type", 2, "int32"),
        ("float_data", 4, "float"),
        ("name", 8, "string"),
        ("raw_data", 9, "bytes"),
    ),
}
_REPEATED = ("initializer", "dims", "float_data")


@functools.cache
def _model_message() -> type:
    """ONNX's ModelProto as far as it is read, in a descriptor pool of its own."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="tf_talking/onnx_tensors.proto", package="onnx_tensors", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for label, number, kind in fields:
            entry = message.field.add(name=label, number=number)
            entry.label = field.LABEL_REPEATED if label in _REPEATED else field.LABEL_OPTIONAL
            if kind in _MESSAGES:
                entry.type, entry.type_name = field.TYPE_MESSAGE, f".onnx_tensors.{kind}"
            else:
                entry.type = getattr(field, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("onnx_tensors.Model"))


def read_tensors(data: bytes, source: str) -> dict[str, np.ndarray]:
    """The named tensors (initialisers) of an ONNX file.

    Raises:
      ValueError: names `source`; the bytes are not SFace's file (told by its sha256).
    """
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{source}: sha256 {digest[:12]}…, expected {FILE.name} with {SHA256[:12]}…")
    tensors = {}
    for tensor in _model_message().FromString(data).graph.initializer:
        if tensor.data_type not in _TYPES:
            continue
        if tensor.raw_data:
            values = np.frombuffer(tensor.raw_data, _TYPES[tensor.data_type])
        else:
            values = np.array(tensor.float_data, np.float32)
        if values.size == np.prod(tensor.dims):
            values = values.reshape(tensor.dims)
        tensors[tensor.name] = values
    return tensors


def _weight(tensors: dict[str, np.ndarray], name: str) -> np.ndarray:
    """A quantised weight [filters, inputs] (or bias [filters]) in float32."""
    values = tensors[f"{name}_quantized"].astype(np.float32)
    axis = values.ndim - 1
    scales, zeros = tensors[f"{name}_scales"], tensors[f"{name}_zero_point"]
    block = -(-values.shape[axis] // scales.shape[axis])
    scales, zeros = (np.repeat(x, block, axis)[..., : values.shape[axis]] for x in (scales, zeros))
    return (values - zeros) * scales


def _norm(tensors: dict[str, np.ndarray], name: str, epsilon: float):
    """Batch normalisation as (scale, shift)."""
    gamma, beta, mean, variance = (tensors[f"{name}_{part}"] for part in ("gamma", "beta", "moving_mean", "moving_var"))
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale


def _convolution(tensors, x, name: str, depthwise: bool, stride: int):
    weight = _weight(tensors, f"{name}_conv2d_weight")
    scale, shift = _norm(tensors, f"{name}_batchnorm", 1e-3)
    filters, size = len(weight), int(tensors[f"{name}_conv2d_weight_shape"][-1])
    kernel = weight.reshape(filters, -1, size, size) * scale[:, None, None, None]
    if size > 1:
        x = keras.layers.ZeroPadding2D(size // 2)(x)
    if depthwise:
        layer = keras.layers.DepthwiseConv2D(size, stride, name=name)
        kernel = kernel.transpose(2, 3, 0, 1)
    else:
        layer = keras.layers.Conv2D(filters, size, stride, name=name)
        kernel = kernel.transpose(2, 3, 1, 0)
    x = layer(x)
    layer.set_weights([kernel, shift])
    rise = keras.layers.PReLU(shared_axes=[1, 2], name=f"{name}_prelu")
    x = rise(x)
    rise.set_weights([tensors[f"{name}_relu_gamma"].reshape(1, 1, filters)])
    return x


def _last_layer(tensors, x):
    """The dense layer, with the normalisation of its input and of its output in it."""
    rows, columns, channels = x.shape[1:]
    weight, bias = _weight(tensors, "pre_fc1_weight"), _weight(tensors, "pre_fc1_bias")
    weight = weight.reshape(-1, channels, rows, columns).astype(np.float64)
    before, after = _norm(tensors, "bn1", 2e-5), _norm(tensors, "fc1", 2e-5)
    bias = bias + np.einsum("fcrk,c->f", weight, before[1])
    weight = weight * before[0][None, :, None, None] * after[0][:, None, None, None]
    dense = keras.layers.Dense(len(bias), name="embedding")
    x = dense(keras.layers.Flatten()(x))
    kernel = weight.transpose(2, 3, 1, 0).reshape(-1, len(bias))
    dense.set_weights([kernel, bias * after[0] + after[1]])
    return x


def build_sface(data: bytes | None = None, source: str = str(FILE)) -> keras.Model:
    """The frozen network: aligned faces [B, 112, 112, 3], RGB 0..255 → float32 [B, 128].

    Args:
      data: the file's bytes, where they come from a bundle; None: the file of this package.
      source: what an error names.

    Raises:
      ValueError: the bytes are another file's.
    """
    tensors = read_tensors(FILE.read_bytes() if data is None else data, source)
    inputs = keras.Input((SIDE, SIDE, 3), name="face", dtype="float32")
    x = keras.layers.Rescaling(1 / 128, offset=-127.5 / 128, name="scale")(inputs)
    x = _convolution(tensors, x, "conv_1", False, 1)
    for stage in range(2, _STAGES + 1):
        x = _convolution(tensors, x, f"conv_{stage}_dw", True, 2 if stage in _HALVING else 1)
        x = _convolution(tensors, x, f"conv_{stage}", False, 1)
    model = keras.Model(inputs, _last_layer(tensors, x), name="sface")
    model.trainable = False
    return model
