"""TensorFlow Serving's REST API: predict, status and metadata of models.

    POST /v1/models/NAME[/versions/N|/labels/L]:predict
    GET  /v1/models/NAME[/versions/N|/labels/L]
    GET  /v1/models/NAME[/versions/N|/labels/L]/metadata

What is refused is answered by the HTTP status that TensorFlow Serving has for the gRPC code
(http_server.cc), and {"error": message}. Bodies are JSON, see `json_tensors`.
"""

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor

import grpc
from aiohttp import web
from google.protobuf.json_format import MessageToDict
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2, predict_pb2

from serving.protocol import api
from serving.server.errors import ServingError, clipped, from_exception, invalid_argument, without_frames
from serving.server.http import json_tensors
from serving.server.models.versions import VersionTable
from serving.server.services import ModelService, PredictionService

# JSON takes some ten times its size in memory while it is read; TensorFlow Serving has no limit.
MAX_BODY_BYTES = 16 * 2**20

_MODEL = r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_PREDICT = re.compile(_MODEL + r":(classify|regress|predict)", re.IGNORECASE)
_STATUS = re.compile(r"/v1/models/?|" + _MODEL + r"(/metadata)?", re.IGNORECASE)
_MOST = 2**63 - 1
_HTTP = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}  # others: 500


class RestApi:
    """Answers requests by the same services as gRPC's.

    Args:
      prediction, model: the services.
      versions: whose signatures say which tensors a body's values become.
      timeout: seconds that a request may take.
    """

    def __init__(self, prediction: PredictionService, model: ModelService, versions: VersionTable, timeout: float):
        self._prediction, self._model, self._versions, self._timeout = prediction, model, versions, timeout
        # One thread: however many large bodies come, one at a time is blown up to Python's numbers.
        self._converter = ThreadPoolExecutor(1, "json")

    async def answer(self, request: web.Request) -> web.Response:
        """The response to a request of any method and path."""
        try:
            async with asyncio.timeout(self._timeout):
                return web.json_response(text=await self._answered(request))
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, f"a body may have {MAX_BODY_BYTES} bytes")
        except TimeoutError:
            return _refusal(504, "Timed out waiting for the answer (flag --rest_api_timeout_in_ms)")
        except Exception as error:  # a refusal, or a fault of this server's; it goes on
            refusal = from_exception(without_frames(error))
            return _refusal(_HTTP.get(refusal.code, 500), clipped(refusal.message))

    async def _answered(self, request: web.Request) -> str:
        path = request.path
        if request.method == "POST" and (found := _PREDICT.fullmatch(path)):
            *chosen, method = found.groups()
            if method.lower() != "predict":
                raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not implemented")
            return await self._predict(_spec(*chosen), await request.read())
        if request.method == "GET" and (found := _STATUS.fullmatch(path)):
            name, version, label, metadata = found.groups()
            if not name:
                raise invalid_argument("Missing model name in request.")
            spec = _spec(name, version, label)
            return self._metadata(spec) if metadata else self._status(spec)
        raise invalid_argument(f"Malformed request: {request.method} {path}")

    async def _predict(self, spec: model_pb2.ModelSpec, body: bytes) -> str:
        run = asyncio.get_running_loop().run_in_executor
        data, rows = await run(self._converter, self._to_message, spec, body)
        response = await self._prediction.predict(data, self._timeout, "REST")
        return await run(self._converter, _to_json, response, rows)

    def _to_message(self, spec: model_pb2.ModelSpec, body: bytes) -> tuple[bytes, bool]:
        """(bytes of a PredictRequest, whether it came in rows)."""
        document = json_tensors.parse_body(body)
        request = predict_pb2.PredictRequest(model_spec=spec)
        request.model_spec.signature_name = document.get("signature_name", "")
        rows = json_tensors.fill_request(document, self._inputs(request.model_spec), request)
        return request.SerializeToString(), rows

    def _inputs(self, spec: model_pb2.ModelSpec) -> dict[str, meta_graph_pb2.TensorInfo]:
        key = spec.signature_name or api.DEFAULT
        with self._versions.hold(spec) as servable:
            if key not in servable.signatures:
                raise invalid_argument(f'Serving signature name: "{key}" not found in signature def')
            return dict(servable.signatures[key].inputs)

    def _status(self, spec: model_pb2.ModelSpec) -> str:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
        return json.dumps(_to_dict(self._model.get_model_status(request)))

    def _metadata(self, spec: model_pb2.ModelSpec) -> str:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        response = self._prediction.get_model_metadata(request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        metadata = {"signature_def": _to_dict(signatures)}
        return json.dumps({"model_spec": _to_dict(response.model_spec), "metadata": metadata})


def _spec(name: str, version: str | None, label: str | None) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=name)
    if version is not None:
        if int(version) > _MOST:
            raise invalid_argument(f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    elif label is not None:
        spec.version_label = label
    return spec


def _to_json(response: bytes, rows: bool) -> str:
    return json_tensors.answer(predict_pb2.PredictResponse.FromString(response).outputs, rows)


def _to_dict(message) -> dict:
    return MessageToDict(message, including_default_value_fields=True, preserving_proto_field_name=True)


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
