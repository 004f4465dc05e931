"""From a PredictRequest to what a session is fed, and from its outputs to the answer.

Checks, codes and messages are TensorFlow Serving's. Stricter in two points: an input whose shape
does not fit the signature, or that claims too many rows, is refused before it is decoded, where
TensorFlow Serving lets the graph find out.
"""

import dataclasses
import itertools
import math

import grpc
import numpy as np
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving.protocol import api, tensors
from serving.server.errors import ServingError, invalid_argument

# Free dimensions at the start of an input that are counted as rows: people, frames of each.
_ROW_DIMENSIONS = 2
_METHODS = tuple(f"tensorflow/serving/{name}" for name in ("predict", "classify", "regress"))


@dataclasses.dataclass(frozen=True)
class Call:
    """A checked request to a version: tensor name -> value, outputs and their tensors' names."""

    model: str
    version: int
    signature: str
    feeds: dict[str, np.ndarray]
    aliases: list[str]
    fetches: list[str]

    def answer(self, values: list[np.ndarray]) -> bytes:
        """The PredictResponse that carries `values`, one for each output. Raises ServingError."""
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self.model
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = self.signature
        for alias, value in zip(self.aliases, values, strict=True):
            try:
                tensors.encode(value, response.outputs[alias])
            except ValueError as error:
                raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"output {alias} can not be sent: {error}") from error
        return response.SerializeToString()


def parse(
    request: predict_pb2.PredictRequest,
    model: str,
    version: int,
    signatures: dict[str, meta_graph_pb2.SignatureDef],
    max_rows: float = math.inf,
) -> Call:
    """Checks a request against the signatures of a version of a model.

    Args:
      max_rows: that an input may have: the product of its first one or two dimensions, those that
        the signature leaves free. A dimension of 0 counts as 1: what is computed from it may not
        be empty.

    Raises:
      ServingError: FAILED_PRECONDITION for an unknown signature, INVALID_ARGUMENT for inputs and
        outputs that do not fit; the message names them.
    """
    key = request.model_spec.signature_name or api.DEFAULT
    signature = _signature(signatures, key)
    feeds = _feeds(signature, request.inputs, max_rows)
    aliases = _aliases(signature, list(request.output_filter))
    fetches = [signature.outputs[alias].name for alias in aliases]
    return Call(model, version, key, feeds, aliases, fetches)


def _signature(signatures: dict[str, meta_graph_pb2.SignatureDef], key: str) -> meta_graph_pb2.SignatureDef:
    if key not in signatures:
        raise ServingError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
    if signatures[key].method_name not in _METHODS:
        raise ServingError(
            grpc.StatusCode.INTERNAL,
            "Expected prediction signature method_name to be one of "
            f"{{{', '.join(_METHODS)}}}. Was: {signatures[key].method_name}",
        )
    return signatures[key]


def _feeds(
    signature: meta_graph_pb2.SignatureDef, inputs: dict[str, tensor_pb2.TensorProto], max_rows: float
) -> dict[str, np.ndarray]:
    """Tensor name -> value, checked against the signature."""
    _check_names(signature, inputs)
    values = {alias: inputs.get(alias, signature.defaults.get(alias)) for alias in signature.inputs}
    # TensorFlow counts the arguments of a run in the order of their tensors' names.
    ordered = sorted(signature.inputs.items(), key=lambda item: item[1].name)
    for index, (alias, info) in enumerate(ordered):
        if values[alias].dtype != info.dtype:
            raise invalid_argument(
                f"Expects arg[{index}] to be {tensors.dtype_name(info.dtype)} but "
                f"{tensors.dtype_name(values[alias].dtype)} is provided (input {alias})"
            )
    for alias, info in ordered:  # all of them, before the first is decoded
        _check_shape(alias, values[alias], info, max_rows)
    feeds = {}
    for alias, info in ordered:
        try:
            feeds[info.name] = tensors.decode(values[alias])
        except (ValueError, OverflowError, MemoryError) as error:
            raise invalid_argument(f"tensor parsing error: {alias} ({error})") from error
    return feeds


def _check_names(signature: meta_graph_pb2.SignatureDef, inputs: dict) -> None:
    sent, known = set(inputs), set(signature.inputs)
    required = known - set(signature.defaults)
    if len(sent) > len(known) or (len(sent) < len(known) and not signature.defaults):
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(known)} "
            f"len({{{_listed(sent)}}}) != len({{{_listed(known)}}}). "
            f"Sent extra: {{{_listed(sent - known)}}}. "
            f"Missing but required: {{{_listed(known - sent)}}}."
        )
    for alias in sorted(required - sent):
        raise invalid_argument(
            f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not found "
            "in request and no default value provided. Inputs expected to be in the request "
            f"{{{_listed(sent)}}}, or default input alias set: {_listed(signature.defaults)}"
        )
    if sent - known:
        raise invalid_argument(
            f"Inputs contains invalid name. Used request inputs: {_listed(sent & known)}, "
            f"request input: {_listed(sent)}"
        )


def _check_shape(alias: str, value: tensor_pb2.TensorProto, info, max_rows: float) -> None:
    got = tensors.partial_shape(value.tensor_shape)
    expected = tensors.partial_shape(info.tensor_shape)
    if expected is None or got is None:
        return  # the second case is the decoder's to refuse
    fits = len(got) == len(expected) and all(size in (None, given) for size, given in zip(expected, got, strict=True))
    if not fits:
        raise invalid_argument(
            f"Cannot feed value of shape {tensors.shape_text(got)} for input {alias}, which has "
            f"shape {tensors.shape_text(expected)}"
        )
    free = itertools.takewhile(lambda pair: pair[0] is None, zip(expected, got, strict=True))
    rows = math.prod(max(size or 0, 1) for _, size in itertools.islice(free, _ROW_DIMENSIONS))
    if rows > max_rows:
        raise invalid_argument(
            f"input {alias} of shape {tensors.shape_text(got)} has {rows} rows, the limit is {max_rows} "
            "(flag --max_request_rows)"
        )


def _aliases(signature: meta_graph_pb2.SignatureDef, output_filter: list[str]) -> list[str]:
    """The outputs to fetch: those of the filter, or all."""
    seen = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in "
                f"the set {{{_listed(signature.outputs)}}}."
            )
        if alias in seen:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return output_filter or sorted(signature.outputs)


def _listed(names) -> str:
    return ",".join(sorted(names))
