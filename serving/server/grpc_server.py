"""The gRPC side of the embedded server: which method goes where, message limits, the port.

An asyncio server: a connection that sends headers and then nothing costs a coroutine, not a
thread, and health, status and metadata are answered in the event loop, also when all workers are
busy and the queue is full.
"""

import asyncio
import threading
from collections.abc import Callable

import grpc
from absl import logging
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_management_pb2

from serving.server.errors import ServingError, clipped, from_exception, without_frames
from serving.server.services import ModelService, PredictionService, parse_message

_PREDICTION = "tensorflow.serving.PredictionService"
_MODEL = "tensorflow.serving.ModelService"
# gRPC's own limit of 4 MB is a few photos; without one, messages fill the memory before anybody has
# looked at them. A second server on the same port must fail, not share it.
_OPTIONS = (
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    # A client whose path is dead is found out and its requests are cancelled; clients may do the
    # same to the server more often than every five minutes, which is gRPC's default.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
)


_LOCAL_PEERS = ("ipv4:127.", "ipv6:%5B::1%5D", "ipv6:[::1]", "unix:")


class GrpcServer:
    """The three services on one port. Belongs to the event loop that it is made in.

    Args:
      prediction: answers Predict and GetModelMetadata.
      model: answers GetModelStatus and HandleReloadConfigRequest.
      options: further gRPC channel arguments, name and value.
      reload_from: who may change what is served: "none", "local" (this machine) or "all".
    """

    def __init__(
        self,
        prediction: PredictionService,
        model: ModelService,
        options: tuple[tuple[str, int | str], ...] = (),
        reload_from: str = "local",
    ):
        self._prediction, self._model, self._reload_from = prediction, model, reload_from
        self._whole = True
        self._calls: set[grpc.aio.ServicerContext] = set()
        self._server = grpc.aio.server(options=tuple((dict(_OPTIONS) | dict(options)).items()))
        metadata = get_model_metadata_pb2.GetModelMetadataRequest
        status = get_model_status_pb2.GetModelStatusRequest
        services = {
            _PREDICTION: {
                "Predict": self._predict,
                "GetModelMetadata": _at_once(metadata, prediction.get_model_metadata),
            },
            _MODEL: {
                "GetModelStatus": _at_once(status, model.get_model_status),
                "HandleReloadConfigRequest": self._reload,
            },
        }
        for name, methods in services.items():
            handlers = {
                method: grpc.unary_unary_rpc_method_handler(self._handler(answer)) for method, answer in methods.items()
            }
            generic = grpc.method_handlers_generic_handler(name, handlers)
            self._server.add_generic_rpc_handlers((generic,))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def listen(self, host: str, port: int, credentials: grpc.ServerCredentials | None = None) -> int:
        """Binds. Returns the port. Raises ServingError naming the address."""
        address = f"{host}:{port}"
        try:
            if credentials is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            bound = 0
        if not bound:
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE, f"can not listen at {address} (flags --host, --port): is the port in use?"
            )
        return bound

    async def start(self) -> None:
        """Answers from now on; health is SERVING, for the server as a whole and both services."""
        await self._server.start()
        await self._set_health(True)

    async def watch_health(self, gone: Callable[[], set[str]], seconds: float = 0.2) -> None:
        """Health is NOT_SERVING while a model is gone; runs until cancelled.

        Args:
          gone: models that should be there and are not any more. One that is only being loaded for
            the first time is not among them: a new person must not take a server out of service.
        """
        while True:
            await asyncio.sleep(seconds)
            missing = gone()
            if self._whole == bool(missing):
                if missing:
                    logging.error("NOT_SERVING: no version of %s is available any more", sorted(missing))
                await self._set_health(not missing)

    async def _set_health(self, whole: bool) -> None:
        self._whole = whole
        answer = health_pb2.HealthCheckResponse
        for name in ("", _PREDICTION, _MODEL):
            await self._health.set(name, answer.SERVING if whole else answer.NOT_SERVING)

    async def stop(self, grace: float) -> None:
        """Health NOT_SERVING, nothing new is taken, what is under way may take `grace` seconds.

        Streams that watch the health would last for ever; they are not waited for.
        """
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.create_task(self._server.stop(grace))
        while self._calls and not stopping.done():
            await asyncio.sleep(0.02)
        await self._server.stop(None)
        await stopping

    def _handler(self, answer):
        """A gRPC handler of bytes; `answer` may raise ServingError."""

        async def handle(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
            self._calls.add(context)
            context.add_done_callback(self._calls.discard)
            try:
                return await answer(data, context)
            except Exception as error:  # a refusal, or a fault of this server's; it goes on
                refusal = from_exception(without_frames(error))
                code, message = refusal.code, clipped(refusal.message)
                del refusal
            await context.abort(code, message)

        return handle

    async def _predict(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return await self._prediction.predict(data, context.time_remaining())

    async def _reload(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        local = context.peer().startswith(_LOCAL_PEERS)
        if self._reload_from == "none" or (self._reload_from == "local" and not local):
            raise ServingError(
                grpc.StatusCode.PERMISSION_DENIED,
                f"{context.peer()} may not change what is served (flag --reload_config_from={self._reload_from})",
            )
        request = parse_message(model_management_pb2.ReloadConfigRequest, data)
        gone = threading.Event()
        try:
            response = await asyncio.to_thread(self._model.handle_reload_config_request, request, gone.is_set)
            return response.SerializeToString()
        finally:
            gone.set()


def _at_once(request_type: type[Message], method):
    """For methods that take next to no time."""

    async def answer(data: bytes, _) -> bytes:
        return method(parse_message(request_type, data)).SerializeToString()

    return answer
