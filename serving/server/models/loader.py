"""How a version folder becomes a servable that is ready for requests: load, batching, warm-up.

`<version>/assets.extra/tf_serving_warmup_requests`: TFRecords of PredictionLog, at most 1,000, as
TensorFlow Serving reads them. The first run of a graph for a batch size is many times slower than
later ones; with these nobody's request is that one.
"""

import dataclasses
import os
import time

import tensorflow as tf
from absl import logging
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.server import predict_request
from serving.server.batching_parameters import BatchingOptions, options_of_version
from serving.server.errors import ServingError, from_exception, invalid_argument
from serving.server.heap import release_free_memory
from serving.server.metrics import Metrics
from serving.server.models.servable import Servable

WARMUP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000


@dataclasses.dataclass
class Loader:
    """Loads versions.

    Attributes:
      session: configuration of every session.
      batching: how requests are put together; None: not at all.
      per_model_batching: take that from the file in each version's folder instead.
      warmup: play the warm-up requests in the folder.
      metrics: warm-up times are counted there.
      max_run_seconds: of one run, except while warming up; None: no limit.
    """

    session: tf.compat.v1.ConfigProto = dataclasses.field(default_factory=tf.compat.v1.ConfigProto)
    batching: BatchingOptions | None = None
    per_model_batching: bool = False
    warmup: bool = True
    metrics: Metrics = dataclasses.field(default_factory=Metrics)
    max_run_seconds: float | None = None

    def load(self, name: str, number: int, path: str) -> Servable:
        """Loads version `number` of model `name` from its folder.

        Raises:
          ServingError: what is wrong with the folder; files are named.
        """
        batching = options_of_version(path, self.batching, self.per_model_batching)
        servable = Servable(name, number, path, self.session)
        servable.batching = batching
        if self.warmup:
            try:
                self._warm_up(servable, path)
            except Exception:
                servable.close()
                raise
        servable.max_run_seconds = self.max_run_seconds
        release_free_memory()
        return servable

    def _warm_up(self, servable: Servable, path: str) -> None:
        began, status = time.monotonic(), "OK"
        try:
            records = play_warmup(servable, path)
        except ServingError as error:
            records, status = 1, error.code.name
            raise
        finally:
            seconds = time.monotonic() - began
            if records:
                self.metrics.model_warmup_latency.labels(path, status).observe(1e6 * seconds)
        if records:
            logging.info(
                "Warmed up {name: %s version: %d} with %d requests in %.1f s",
                servable.name,
                servable.version,
                records,
                seconds,
            )


def play_warmup(servable: Servable, folder: str | os.PathLike) -> int:
    """Runs the requests in the folder of a version, if it has any.

    Returns:
      How many there are.

    Raises:
      ServingError: naming the file and the record that can not be read or is refused.
    """
    path = os.path.join(folder, WARMUP_FILE)
    if not os.path.exists(path):
        return 0
    index = 0
    try:
        # tf.data would start the eager runtime, which takes all memory of a GPU.
        for index, record in enumerate(tf.compat.v1.io.tf_record_iterator(path)):
            if index >= MAX_RECORDS:
                raise invalid_argument(f"more than {MAX_RECORDS} records")
            _play_record(servable, record)
    except Exception as error:  # any content of a file may arrive here
        refusal = from_exception(error)
        raise ServingError(refusal.code, f"warm-up file {path}, record {index}: {refusal.message}") from error
    return index + 1


def _play_record(servable: Servable, record: bytes) -> None:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid_argument(f"no tensorflow.serving.PredictionLog: {error}") from error
    kind = log.WhichOneof("log_type")
    if kind is None:
        return  # as TensorFlow Serving does
    if kind != "predict_log":
        raise invalid_argument(f"got a {kind}, expected a predict_log")
    call = predict_request.parse(log.predict_log.request, servable.name, servable.version, servable.signatures)
    servable.run(call.feeds, call.fetches, timeout=None)
