"""What a request leaves behind: nothing, however it ends."""

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import tensorflow as tf

from serving.protocol.tensors import encode
from serving.server.batching.batcher import Batcher
from serving.server.batching_parameters import BatchingOptions
from serving.server.grpc_server import GrpcServer
from serving.server.metrics import Metrics
from serving.server.models.loader import Loader
from serving.server.models.model_config import read_config
from serving.server.models.model_store import ModelStore
from serving.server.services import ModelService, PredictionService
from tests.serving.api_requests import animate


class Aborted(Exception):
    """What a context raises at its end."""


class Context:
    """A call without a deadline."""

    def __init__(self):
        self.code = None

    def add_done_callback(self, _):
        pass

    def time_remaining(self):
        return None

    async def abort(self, code, message):
        self.code = code
        raise Aborted


def requests_and_codes():
    """None: answered."""
    yield animate(signature="nothing"), grpc.StatusCode.FAILED_PRECONDITION
    yield animate(landmarks=np.zeros((2, 67, 2), np.float32)), grpc.StatusCode.INVALID_ARGUMENT
    yield animate(model="nobody"), grpc.StatusCode.NOT_FOUND
    decoder = animate(model="decoder", signature="serving_default")
    decoder.inputs.clear()
    encode([b"no picture" * 1000], decoder.inputs["image_bytes"])  # refused by the graph
    yield decoder, grpc.StatusCode.INVALID_ARGUMENT
    good = animate(model="decoder", signature="serving_default")
    good.inputs.clear()
    encode([tf.io.encode_jpeg(np.zeros((8, 8, 3), np.uint8)).numpy()], good.inputs["image_bytes"])
    yield good, None


@pytest.mark.parametrize("batching", [False, True])
def test_refused_requests_leave_no_circles_of_objects(toy_models, batching):
    """Those are found by the garbage collector only, whose last round hardly ever comes."""
    metrics = Metrics()
    options = BatchingOptions(timeout_seconds=0.05, threads=1) if batching else None
    store = ModelStore(Loader(tf.compat.v1.ConfigProto(), options, False, False, metrics))

    store.configure(read_config(toy_models / "models.config"))
    store.start()
    assert store.wait_until_available()
    batcher = Batcher(options, metrics) if batching else None

    async def answered(server, message):
        context = Context()
        handler = server._handler(server._predict)
        try:
            await handler(message.SerializeToString(), context)
        except Aborted:
            return context.code

    async def main(messages):
        with ThreadPoolExecutor(2) as workers:
            server = GrpcServer(
                PredictionService(store.versions, workers, batcher, 100, metrics, 512), ModelService(store)
            )
            # At once too, so that good and bad ones share a batch, which is run again one by one.
            together = await asyncio.gather(*(answered(server, message) for message in 3 * messages))
            assert together == 3 * list(codes)
            return [await answered(server, message) for message in messages]

    messages, codes = zip(*requests_and_codes(), strict=True)
    assert asyncio.run(main(messages)) == list(codes)
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        asyncio.run(main(messages))
        gc.collect()
        left = [item for item in gc.garbage if isinstance(item, Exception) and not isinstance(item, Aborted)]
        held = [item for item in gc.garbage if isinstance(item, bytes) or type(item).__name__ == "_Pending"]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert not left and not held
    if batcher:
        batcher.close()
    store.close()
