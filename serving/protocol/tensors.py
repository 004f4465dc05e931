"""NumPy arrays <-> `tensorflow.TensorProto`, for the client and the embedded server.

Encoding puts numbers into `tensor_content` (one copy, no repeated fields). Decoding takes what
any server or client may send: `tensor_content`, or the typed fields, in which a shorter list is
continued by its last value as TensorFlow does. The messages may be TensorFlow's or those of
`serving.protocol.api`; TensorFlow is not imported.
"""

import math

import numpy as np
from google.protobuf.message import Message

# A typed field may be shorter than the tensor; what it may be blown up to is limited here, so
# that a request of a few bytes can not ask for much memory or work.
MAX_PADDED_BYTES = 4 * 2**20

# TensorFlow's DataType; with 100 added: references.
_NAMES = (
    "invalid float double int32 uint8 int16 int8 string complex64 int64 bool qint8 quint8 qint32 "
    "bfloat16 qint16 quint16 uint16 complex128 half resource variant uint32 uint64 float8_e5m2 "
    "float8_e4m3fn    int4 uint4"
).split(" ")
_NAME_OF = {number: name for number, name in enumerate(_NAMES) if name}
_NAME_OF |= {100 + number: f"{name}_ref" for number, name in _NAME_OF.items() if number}
# name: (NumPy's type, the typed field)
_TYPES = {
    "float": (np.float32, "float_val"),
    "double": (np.float64, "double_val"),
    "half": (np.float16, "half_val"),
    "uint8": (np.uint8, "int_val"),
    "int8": (np.int8, "int_val"),
    "uint16": (np.uint16, "int_val"),
    "int16": (np.int16, "int_val"),
    "uint32": (np.uint32, "uint32_val"),
    "int32": (np.int32, "int_val"),
    "uint64": (np.uint64, "uint64_val"),
    "int64": (np.int64, "int64_val"),
    "bool": (np.bool_, "bool_val"),
    "string": (np.object_, "string_val"),
}
_NUMBER_OF = {np.dtype(numpy): _NAMES.index(name) for name, (numpy, _) in _TYPES.items()}


def dtype_name(number: int) -> str:
    """TensorFlow's name of a dtype number, for messages."""
    return _NAME_OF.get(number, f"unknown dtype {number}")


def numpy_type(number: int) -> type:
    """NumPy's type of a dtype number. Raises ValueError: tensors of it are not sent."""
    return _type(number)[0]


def _type(number: int) -> tuple[type, str]:
    name = dtype_name(number)
    if name not in _TYPES:
        raise ValueError(f"{name} is not supported")
    return _TYPES[name]


def shape_text(shape: tuple[int | None, ...] | None) -> str:
    """`[?,68,2]` as TensorFlow writes partial shapes."""
    if shape is None:
        return "<unknown>"
    return "[" + ",".join("?" if size is None else str(size) for size in shape) + "]"


def partial_shape(proto: Message) -> tuple[int | None, ...] | None:
    """Sizes of a TensorShapeProto, None where unknown; None alone when not even the rank is."""
    if proto.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in proto.dim)


def encode(array: np.ndarray | list[bytes] | bytes, proto: Message) -> Message:
    """Fills a TensorProto with an array, or a list or object array of bytes; returns it.

    Raises:
      ValueError: no tensor dtype for the array's dtype.
    """
    array = np.asarray(array, dtype=object if _holds_bytes(array) else None)
    if array.dtype not in _NUMBER_OF:
        raise ValueError(f"no tensor dtype for NumPy's {array.dtype}")
    proto.Clear()
    proto.dtype = _NUMBER_OF[array.dtype]
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if array.dtype == object:
        proto.string_val.extend(array.reshape(-1).tolist())
    else:
        proto.tensor_content = array.tobytes()
    return proto


def decode(proto: Message) -> np.ndarray:
    """The array of a TensorProto; strings become an object array of bytes.

    Raises:
      ValueError: says what does not fit: dtype, shape, or the number of values.
    """
    name, (numpy, field) = dtype_name(proto.dtype), _type(proto.dtype)
    shape = partial_shape(proto.tensor_shape)
    if shape is None or None in shape:
        raise ValueError(f"shape {shape_text(shape)} is not fully defined")
    count = math.prod(shape)
    if proto.tensor_content and numpy is not np.object_:
        expected = count * np.dtype(numpy).itemsize
        if len(proto.tensor_content) != expected:
            raise ValueError(
                f"tensor_content has {len(proto.tensor_content)} bytes, "
                f"expected {expected} for {name} {shape_text(shape)}"
            )
        return np.frombuffer(proto.tensor_content, numpy).reshape(shape)
    return _from_field(getattr(proto, field), np.dtype(numpy), field, count).reshape(shape)


def _from_field(values, dtype: np.dtype, field: str, count: int) -> np.ndarray:
    given = len(values)
    if given > count:
        raise ValueError(f"{field} has {given} values, expected {count}")
    # A string is copied as often as it is continued.
    size = max(dtype.itemsize, len(values[-1]) if field == "string_val" and given else 0)
    if given < count and count * size > MAX_PADDED_BYTES:
        raise ValueError(
            f"{field} has {given} values for {count} elements: continuing the last one "
            f"is limited to {MAX_PADDED_BYTES} bytes"
        )
    if field == "string_val":
        padded = list(values)
        padded += [padded[-1] if padded else b""] * (count - given)
        array = np.empty(count, object)
        array[:] = padded
        return array
    if dtype == np.float16:  # half_val carries the bits
        array = np.asarray(values, np.int64).astype(np.uint16).view(np.float16)
    else:
        array = np.asarray(values, dtype=dtype if dtype.kind in "fb" else None).astype(dtype)
    if given == count:
        return array
    return np.pad(array, (0, count - given), mode="edge" if given else "constant")


def _holds_bytes(array) -> bool:
    if isinstance(array, bytes):
        return True
    if isinstance(array, np.ndarray):
        return array.dtype.kind == "O"
    return isinstance(array, list | tuple) and any(isinstance(item, bytes) for item in array)
