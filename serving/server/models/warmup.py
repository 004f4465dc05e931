"""Plays the warm-up requests of a version before it is available.

`<version>/assets.extra/tf_serving_warmup_requests`: TFRecords of PredictionLog, at most 1,000, as
TensorFlow Serving reads them. The first run of a graph for a batch size is many times slower than
later ones; with these nobody's request is that one.
"""

import os

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.server import predict_request
from serving.server.errors import ServingError, from_exception, invalid_argument
from serving.server.models.servable import Servable

FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000


def play(servable: Servable, folder: str | os.PathLike) -> int:
    """Runs the requests in the folder of a version, if it has any.

    Returns:
      How many there are.

    Raises:
      ServingError: naming the file and the record that can not be read or is refused.
    """
    path = os.path.join(folder, FILE)
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
        raise ServingError(
            refusal.code, f"warm-up file {path}, record {index}: {refusal.message}"
        ) from error
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
    call = predict_request.parse(log.predict_log.request, servable.signatures)
    servable.run(call.feeds, call.fetches, timeout=None)
