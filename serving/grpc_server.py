"""The gRPC side of the embedded server: which method goes where, message limits, the port."""

from concurrent import futures

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from serving.errors import ServingError, answering, invalid_argument
from serving.model_service import ModelService
from serving.model_store import ModelStore
from serving.prediction_service import PredictionService

_PREDICTION = "tensorflow.serving.PredictionService"
_MODEL = "tensorflow.serving.ModelService"
# -1 lifts gRPC's limit of 4 MB; a protobuf message ends at 2 GB anyway. A second server on the
# same port must fail, not share it.
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


def build_server(
    store: ModelStore, threads: int
) -> tuple[grpc.Server, health.HealthServicer]:
    """A gRPC server with the three services, not listening yet."""
    server = grpc.server(futures.ThreadPoolExecutor(threads), options=_OPTIONS)
    prediction, model = PredictionService(store), ModelService(store)
    services = {
        _PREDICTION: {
            "Predict": (predict_pb2.PredictRequest, prediction.predict),
            "GetModelMetadata": (
                get_model_metadata_pb2.GetModelMetadataRequest,
                prediction.get_model_metadata,
            ),
        },
        _MODEL: {
            "GetModelStatus": (
                get_model_status_pb2.GetModelStatusRequest,
                model.get_model_status,
            ),
            "HandleReloadConfigRequest": (
                model_management_pb2.ReloadConfigRequest,
                model.handle_reload_config_request,
            ),
        },
    }
    for name, methods in services.items():
        handlers = {method: _handler(*entry) for method, entry in methods.items()}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, handlers),)
        )
    health_servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    return server, health_servicer


def _handler(request_type: type[Message], method) -> grpc.RpcMethodHandler:
    """Parses inside the handler: gRPC would answer bytes that are no such message by INTERNAL."""

    def handle(data: bytes, context: grpc.ServicerContext) -> Message:
        with answering(context):
            try:
                request = request_type.FromString(data)
            except DecodeError as error:
                raise invalid_argument(
                    f"{len(data)} bytes that are no {request_type.DESCRIPTOR.full_name}: {error}"
                ) from error
        return method(request, context)

    return grpc.unary_unary_rpc_method_handler(
        handle, response_serializer=lambda message: message.SerializeToString()
    )


def listen(server: grpc.Server, host: str, port: int) -> int:
    """Binds. Returns the port. Raises ServingError naming the address."""
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise ServingError(
            grpc.StatusCode.UNAVAILABLE,
            f"can not listen at {host}:{port} (flags --host, --port): is the port in use?",
        )
    return bound


def announce(health_servicer: health.HealthServicer) -> None:
    """Health SERVING for the server as a whole and for both services."""
    for name in ("", _PREDICTION, _MODEL):
        health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
