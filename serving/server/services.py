"""PredictionService and ModelService: what the server answers.

A Predict request waits in the event loop, which costs no thread: until its bytes are there, until a
worker thread is free, until its batch has been computed. Of those that have arrived, `limit` may be
under way; more are refused. A request is one `Future`: when the client cancels, goes away or its
deadline passes, the future is cancelled, its bytes are dropped, and what has not begun is not
computed; it counts as under way until the thread or the batch that has it lets go of it.
"""

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import grpc
from absl import logging
from google.protobuf.message import DecodeError, Message
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_management_pb2, predict_pb2

from serving.server import predict_request
from serving.server.batching.batcher import Batcher
from serving.server.errors import ServingError, from_exception, invalid_argument, without_frames
from serving.server.metrics import Metrics
from serving.server.models.model_store import ModelStore
from serving.server.models.versions import VersionTable


def parse_message(message: type[Message], data: bytes) -> Message:
    """Parses a request; gRPC itself would answer other bytes by INTERNAL.

    Raises:
      ServingError: INVALID_ARGUMENT naming the message.
    """
    try:
        return message.FromString(data)
    except DecodeError as error:
        raise invalid_argument(f"{len(data)} bytes that are no {message.DESCRIPTOR.full_name}: {error}") from error


@dataclasses.dataclass
class _Pending:
    """A Predict under way; `future` gets the response's bytes or a ServingError."""

    data: bytes
    deadline: float | None  # on time.monotonic's clock
    future: Future = dataclasses.field(default_factory=Future)
    model: str = ""  # known once it is known to be served
    queued: bool = False  # handed to the batcher


class PredictionService:
    """Predict and GetModelMetadata.

    Args:
      versions: the models.
      workers: threads that parse, run what is not batched, and write answers.
      batcher: the queues for models that have batching options.
      limit: Predict requests under way, waiting ones included.
      metrics: requests are counted there.
      max_rows: of an input of one request; see `predict_request.parse`.
    """

    def __init__(
        self,
        versions: VersionTable,
        workers: ThreadPoolExecutor,
        batcher: Batcher | None,
        limit: int,
        metrics: Metrics,
        max_rows: int,
    ):
        self._versions = versions
        self._workers = workers
        self._batcher = batcher
        self._limit = limit
        self._metrics = metrics
        self._max_rows = max_rows
        self._lock = threading.Lock()  # of the number below
        self._under_way = 0

    async def predict(self, data: bytes, timeout: float | None, entrypoint: str = "GRPC") -> bytes:
        """Runs a signature of a model: bytes of a PredictRequest -> of a PredictResponse.

        Args:
          data: the request.
          timeout: seconds until its deadline.
          entrypoint: for the metrics.

        Raises:
          ServingError: the refusal.
        """
        began = time.monotonic()
        pending = _Pending(data, None if timeout is None else began + timeout)
        status = grpc.StatusCode.CANCELLED
        try:
            response = await self._computed(pending)
            status = grpc.StatusCode.OK
            return response
        except ServingError as error:
            status = error.code
            raise
        finally:
            self._metrics.request(pending.model, status, time.monotonic() - began, entrypoint)

    async def _computed(self, pending: _Pending) -> bytes:
        self._enter()
        try:
            self._workers.submit(self._start, pending)
        except RuntimeError:
            self._leave()
            raise
        try:
            return await asyncio.wrap_future(pending.future)
        except asyncio.CancelledError:  # the client is gone
            pending.future.cancel()
            pending.data = b""
            if self._batcher is not None:
                self._batcher.abandon(pending.future)
            raise

    def _enter(self) -> None:
        with self._lock:
            if self._under_way >= self._limit:
                raise ServingError(
                    grpc.StatusCode.UNAVAILABLE,
                    f"{self._under_way} requests are being worked on or wait, which is the limit "
                    "(flags --grpc_max_threads + --max_queued_requests)",
                )
            self._under_way += 1
        self._metrics.in_flight.inc()

    def _leave(self) -> None:
        with self._lock:
            self._under_way -= 1
        self._metrics.in_flight.dec()

    def _start(self, pending: _Pending) -> None:
        """In a worker thread: everything, or everything up to the batch's queue."""
        try:
            if not pending.future.cancelled():
                self._run_or_queue(pending)
        except Exception as error:  # whatever a request provokes, it is answered
            if pending.future.running() or pending.future.set_running_or_notify_cancel():
                pending.future.set_exception(without_frames(from_exception(error)))
        finally:
            if not pending.queued:
                self._leave()

    def _run_or_queue(self, pending: _Pending) -> None:
        request = parse_message(predict_pb2.PredictRequest, pending.data)
        pending.data = b""
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        with contextlib.ExitStack() as held:
            servable = held.enter_context(self._versions.hold(request.model_spec))
            pending.model = servable.name
            call = predict_request.parse(request, servable.name, servable.version, servable.signatures, self._max_rows)
            if self._batcher is not None and servable.batching is not None:
                held.callback(self._leave)
                release = held.pop_all().close  # not before the request is done
                pending.queued = True
                pending.future.add_done_callback(lambda _: release())
                self._batcher.submit(servable, call.feeds, call.fetches, pending.deadline, pending.future, call.answer)
            elif pending.future.set_running_or_notify_cancel():
                timeout = None
                if pending.deadline is not None:
                    timeout = pending.deadline - time.monotonic()
                began = time.monotonic()
                outputs = servable.run(call.feeds, call.fetches, timeout)
                self._metrics.run(servable.name, time.monotonic() - began)
                pending.future.set_result(call.answer(outputs))

    def get_model_metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of a model.

        Raises:
          ServingError: the refusal.
        """
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid_argument(f"Metadata field {field} is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self._versions.hold(request.model_spec) as servable:
            response.model_spec.name = servable.name
            response.model_spec.version.value = servable.version
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for key, signature in servable.signatures.items():
                signatures.signature_def[key].CopyFrom(signature)
        response.metadata["signature_def"].Pack(signatures)
        return response


class ModelService:
    """GetModelStatus and HandleReloadConfigRequest: tells and changes what a store serves."""

    def __init__(self, store: ModelStore):
        self._store = store

    def get_model_status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """State of the versions of a model. Raises ServingError."""
        if not request.HasField("model_spec"):
            raise invalid_argument("Missing ModelSpec")
        return self._store.versions.status(request.model_spec)

    def handle_reload_config_request(
        self, request: model_management_pb2.ReloadConfigRequest, cancelled: Callable[[], bool]
    ) -> model_management_pb2.ReloadConfigResponse:
        """Takes over another model list and returns when its new models are available.

        Args:
          request: the list.
          cancelled: asked while it waits: True ends the waiting, the list stays taken over.

        Raises:
          ServingError: the list is refused, or all versions of a new model failed.
        """
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        if request.metric_names:
            raise ServingError(grpc.StatusCode.UNIMPLEMENTED, "metric_names: metrics are answered over HTTP only")
        names = [model.name for model in request.config.model_config_list.config]
        logging.info("Reloading config with models %s", names)
        new = self._store.configure(request.config)
        self._store.wait_until_available(new, cancelled)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        return response
