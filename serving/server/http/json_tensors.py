"""JSON of TensorFlow Serving's REST API <-> Predict's messages.

A body has "instances" (rows: a list, one element a row) or "inputs" (columns: whole tensors), and
perhaps "signature_name"; the answer has "predictions" or "outputs" accordingly. Bytes are
{"b64": "..."}; on the way out they are where an output's name ends in `_bytes`. Rules and messages
are those of TensorFlow Serving 2.15 (json_tensor.cc).
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping

import grpc
import numpy as np
from google.protobuf.message import Message
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving.protocol import tensors
from serving.server.errors import ServingError, invalid_argument

_BYTES_SUFFIX = "_bytes"
_INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),  # so are the narrower ones, which then wrap round
    "int16": (-(2**31), 2**31 - 1),
    "int8": (-(2**31), 2**31 - 1),
    "uint8": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_FLOATS = {"float": np.float32, "double": np.float64}
_SHOWN = 200  # characters of a value in a message


def parse_body(body: bytes) -> dict:
    """The JSON object of a body. Raises ServingError: INVALID_ARGUMENT."""
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        raise invalid_argument(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, endless digits, or nested too deeply
        raise invalid_argument(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {_shown(document)} Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise invalid_argument(
            f"JSON Value: {_shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return document


def fill_request(
    document: dict, infos: Mapping[str, meta_graph_pb2.TensorInfo], request: predict_pb2.PredictRequest
) -> bool:
    """Takes the inputs over into a request.

    Args:
      document: as `parse_body` gives it.
      infos: the signature's inputs.
      request: gets `inputs`.

    Returns:
      Whether the answer is to be in rows.

    Raises:
      ServingError: INVALID_ARGUMENT that says what does not fit, UNIMPLEMENTED for types.
    """
    rows, columns = "instances" in document, "inputs" in document
    if rows and columns:
        raise invalid_argument(
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of 'inputs' or "
            "'instances' keys to exist "
        )
    if columns:
        _fill_columns(document["inputs"], infos, request)
    elif rows:
        _fill_rows(document, infos, request)
    else:
        raise invalid_argument("Missing 'inputs' or 'instances' key")
    return rows


def _fill_columns(value, infos: Mapping, request: predict_pb2.PredictRequest) -> None:
    if not _is_object(value):
        if len(infos) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required "
                "as per tensorinfo_map"
            )
        value = {name: value for name in infos}
    for name, info in infos.items():
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        shape, leaves = _flat(value[name], info.dtype)
        _encode(leaves, shape, info.dtype, request.inputs[name])


def _fill_rows(document: dict, infos: Mapping, request: predict_pb2.PredictRequest) -> None:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid_argument(f"JSON Value: {_shown(document)} Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid_argument(f"JSON Value: {_shown(document)} No values in 'instances' array")
    named = _is_object(rows[0])
    if not named and len(infos) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required "
            "as per tensorinfo_map"
        )
    shapes: dict[str, list[int]] = {}
    leaves: dict[str, list] = {name: [] for name in infos}
    for number, row in enumerate(rows):
        if _is_object(row) != named:
            expected, got = ("object", "list") if named else ("value/list", "object")
            raise invalid_argument(f"Expecting {expected} but got {got} at item {number} of input list")
        for name, value in (row if named else dict.fromkeys(infos, row)).items():
            where = (
                f"Failed to process element: {number}{f' key: {name}' if named else ''} of 'instances' list. Error: "
            )
            try:
                if name not in infos:
                    raise invalid_argument(f"JSON object: does not have named input: {name}")
                shape, found = _flat(value, infos[name].dtype)
                _check_same(shapes.setdefault(name, shape), shape)
            except ServingError as error:
                raise invalid_argument(f"{where}{error}") from error
            leaves[name] += found
        if named and row.keys() != infos.keys():
            raise invalid_argument(
                f"Failed to process element: {number} of 'instances' list. JSON object: {_shown(row)} keys must "
                f"be equal to: {','.join(sorted(infos))}"
            )
    for name, info in infos.items():
        _encode(leaves[name], [len(rows), *shapes[name]], info.dtype, request.inputs[name])


def _check_same(expected: list[int], got: list[int]) -> None:
    sizes = [int(np.prod(shape)) for shape in (expected, got)]
    if sizes[0] != sizes[1]:
        raise invalid_argument(f"Expecting tensor size: {sizes[0]} but got: {sizes[1]}")
    if expected != got:
        texts = ["[" + ",".join(map(str, shape)) + "]" for shape in (expected, got)]
        raise invalid_argument(f"Expecting shape {texts[0]} but got: {texts[1]}")


def _flat(value, dtype: int) -> tuple[list[int], list]:
    """(shape, checked values in row-major order) of nested lists of one depth and size a level."""
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    return shape, [_checked(leaf, dtype) for leaf in _leaves(value, shape, 0)]


def _leaves(value, shape: list[int], level: int) -> Iterator:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid_argument(
                f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        yield value
        return
    if level >= len(shape):
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        yield from _leaves(item, shape, level + 1)


def _checked(leaf, dtype: int):
    """What the tensor holds of a JSON value."""
    name = tensors.dtype_name(dtype)
    if name == "string":
        if isinstance(leaf, dict):
            return _decoded(leaf)
        if isinstance(leaf, str):
            return leaf.encode()
    elif name == "bool":
        if isinstance(leaf, bool):
            return leaf
    elif name in _INTEGERS:
        least, most = _INTEGERS[name]
        if isinstance(leaf, int) and not isinstance(leaf, bool) and least <= leaf <= most:
            return leaf
    elif name in _FLOATS:
        if isinstance(leaf, int | float) and not isinstance(leaf, bool):
            return _without_loss(leaf, name)
    else:
        raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {_shown(leaf)} to type: {name}")
    raise invalid_argument(f"JSON Value: {_shown(leaf)} Type: {_kind(leaf)} is not of expected type: {name}")


def _without_loss(number: int | float, name: str) -> float:
    limits = np.finfo(_FLOATS[name])
    if isinstance(number, int):
        fits = abs(number) < 2 ** (limits.nmant + 1)
    else:
        fits = not np.isfinite(number) or abs(number) <= limits.max
    if not fits:
        raise invalid_argument(f"Cannot convert JSON value: {_shown(number)} to {name} without loss of precision.")
    return float(number)


def _decoded(value: dict) -> bytes:
    text = value.get("b64")
    if len(value) != 1 or not isinstance(text, str):
        raise invalid_argument(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)  # padding may be left out
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("Unable to base64 decode") from error


def _encode(leaves: list, shape: list[int], dtype: int, proto: tensor_pb2.TensorProto) -> None:
    name = tensors.dtype_name(dtype)
    if name == "string":
        array = np.empty(len(leaves), object)
        array[:] = leaves
    else:
        numpy = tensors.numpy_type(dtype)
        array = np.asarray(leaves, np.int64 if name in ("int16", "int8", "uint8") else numpy).astype(numpy)
    tensors.encode(array.reshape(shape), proto)


def answer(outputs: Mapping[str, tensor_pb2.TensorProto], rows: bool) -> str:
    """JSON of a response's outputs: of one output its values alone, of several an object.

    Args:
      rows: one element a row, as the request had "instances".

    Raises:
      ServingError: outputs of different numbers of rows, or bytes that JSON can not hold.
    """
    values = {name: _values(name, proto) for name, proto in sorted(outputs.items())}
    if not rows:
        whole = {name: array.tolist() for name, array in values.items()}
        return json.dumps({"outputs": whole if len(whole) > 1 else next(iter(whole.values()))})
    size = None
    for name, array in values.items():
        if array.ndim == 0:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if size not in (None, len(array)):
            raise invalid_argument(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)
    columns = [array.tolist() for array in values.values()]
    if len(columns) > 1:
        return json.dumps({"predictions": [dict(zip(values, row, strict=True)) for row in zip(*columns, strict=True)]})
    return json.dumps({"predictions": columns[0]})


def _values(name: str, proto: Message) -> np.ndarray:
    """An array whose `tolist` json.dumps can write."""
    array = tensors.decode(proto)
    if array.dtype == object:
        write = _as_base64 if name.endswith(_BYTES_SUFFIX) else _as_text
        written = np.empty(array.size, object)
        written[:] = [write(name, item) for item in array.reshape(-1)]
        return written.reshape(array.shape)
    if array.dtype in (np.float32, np.float16):
        # The shortest decimals that are this float32, not those of the double next to it.
        return array.astype(str).astype(np.float64)
    return array


def _as_base64(_: str, data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def _as_text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ServingError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"output {name} is no UTF-8 text, which JSON can not hold; an output whose name ends in "
            f"{_BYTES_SUFFIX} is sent as base64",
        ) from error


def _is_object(value) -> bool:
    return isinstance(value, dict) and not (list(value) == ["b64"] and isinstance(value["b64"], str))


def _kind(value) -> str:
    if isinstance(value, bool):
        return str(value)
    kinds = {type(None): "Null", dict: "Object", list: "Array", str: "String"}
    return kinds.get(type(value), "Number")


def _shown(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
