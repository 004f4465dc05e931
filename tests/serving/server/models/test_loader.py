"""Warm-up records and batching parameters in a version's folder, as it is loaded."""

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.batching_parameters import PER_MODEL_FILE, BatchingOptions
from serving.server.errors import ServingError
from serving.server.models.loader import WARMUP_FILE, Loader, play_warmup
from tests.serving.api_requests import request

JPEG = tf.io.encode_jpeg(tf.zeros([8, 8, 3], tf.uint8)).numpy()


@pytest.fixture
def decoder(tmp_path, toys):
    toys.save_decoder(tmp_path / "1")
    return tmp_path / "1"


def write(folder, *records: bytes):
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def log(data: bytes) -> bytes:
    record = prediction_log_pb2.PredictionLog()
    message = request("decoder", "", image_bytes=tf.make_tensor_proto([data]))
    record.predict_log.request.CopyFrom(message)
    return record.SerializeToString()


def load(folder, **settings):
    loader = Loader(**settings)
    servable = loader.load("decoder", 1, str(folder))
    return servable, loader.metrics.registry


def test_records_are_played_and_counted(decoder):
    write(decoder, log(JPEG), log(JPEG), b"")  # a record without a log is passed over
    servable, registry = load(decoder)
    assert play_warmup(servable, str(decoder)) == 3
    labels = {"model_path": str(decoder), "status": "OK"}
    name = ":tensorflow:serving:model_warmup_latency_count"
    assert registry.get_sample_value(name, labels) == 1
    servable.close()


def test_without_a_file_nothing_is_played(decoder):
    servable, registry = load(decoder)
    assert play_warmup(servable, str(decoder)) == 0
    assert "model_path" not in str(list(registry.collect()))
    servable.close()


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ((b"\xff\xff",), "record 0: no tensorflow.serving.PredictionLog"),
        ((log(JPEG), log(b"no picture")), "record 1: "),
        (
            (prediction_log_pb2.PredictionLog(classify_log={}).SerializeToString(),),
            "record 0: got a classify_log, expected a predict_log",
        ),
        ((b"",) * 1001, "more than 1000 records"),
    ],
)
def test_bad_records_fail_the_load_and_name_the_file(decoder, records, message):
    path = write(decoder, *records)
    with pytest.raises(ServingError) as caught:
        load(decoder)
    assert str(path) in caught.value.message and message in caught.value.message


def test_truncated_file_fails_the_load_unless_warm_up_is_off(decoder):
    path = write(decoder, log(JPEG))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ServingError, match=str(path)):
        load(decoder)
    load(decoder, warmup=False)[0].close()


def test_batching_parameters_of_a_version(decoder):
    common = BatchingOptions()
    (decoder / PER_MODEL_FILE).write_text("max_batch_size { value: 3 }")
    servable, _ = load(decoder, batching=common, per_model_batching=True)
    assert servable.batching.max_batch_size == 3
    servable.close()
    (decoder / PER_MODEL_FILE).write_text("max_batch_size { value: -3 }")
    with pytest.raises(ServingError, match=f"{PER_MODEL_FILE}.*max_batch_size: got -3"):
        load(decoder, batching=common, per_model_batching=True)
