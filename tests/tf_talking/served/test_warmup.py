"""Warm-up files: played, as a server does, through the SavedModel that they lie in."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.config_protos import BatchingParameters, read_text_proto
from tf_talking.config import get_preset
from tf_talking.landmarks.scheme import get_scheme
from tf_talking.networks.embedder import Embedder
from tf_talking.networks.generator import Generator, neutral_adain_params
from tf_talking.served import warmup
from tf_talking.served.graphs import save_embedder, save_generator

SIZE, POINTS = 32, 68


def nano(scheme: str = "ibug68"):
    """As small as the networks go: these tests are about files, not about pictures."""
    tiny = get_preset("tiny")
    model = dataclasses.replace(
        tiny.model, image_size=SIZE, min_channels=8, max_channels=16, num_residual_blocks=1, attention=False
    )
    landmarks = dataclasses.replace(tiny.landmarks, scheme=scheme)
    return dataclasses.replace(tiny, name="nano", model=model, landmarks=landmarks)


CONFIG = nano()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with an exported embedder and generator, and their serving files."""
    folder = tmp_path_factory.mktemp("exported")
    generator = Generator(CONFIG.model)
    save_embedder(folder / "embedder", CONFIG, Embedder(CONFIG.model), generator)
    save_generator(folder / "generator", CONFIG, generator)
    for name in ("embedder", "generator"):
        warmup.write_serving_files(folder / name, CONFIG, "gpu")  # as for a GPU: all sizes
    return folder


def requests_in(path) -> list:
    """What TF Serving reads: an uncompressed TFRecord of PredictionLogs."""
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path / warmup.WARMUP_FILE), compression_type="")
    ]
    assert {log.WhichOneof("log_type") for log in logs} == {"predict_log"}
    return [log.predict_log.request for log in logs]


@pytest.mark.parametrize("name", ["embedder", "generator"])
def test_every_request_runs_and_every_signature_has_every_size(models, name):
    path = models / name
    served = tf.saved_model.load(str(path)).signatures
    leading = {key: [] for key in served}
    for request in requests_in(path):
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        key = request.model_spec.signature_name
        rows = {tuple(value.shape[:1]) for value in inputs.values()}
        for output in served[key](**inputs).values():
            rows.add(tuple(output.shape[:1]))
            if output.dtype == tf.float32:
                assert np.isfinite(output).all()
        assert len(rows) == 1  # what TF Serving's batching asks for
        assert request.model_spec.name == name
        leading[key].append(rows.pop()[0] if name == "generator" else _frames(inputs))
    expected = warmup.BATCH_SIZES["gpu"] if name == "generator" else warmup.FRAMES_PER_PERSON
    assert leading.pop(warmup.FINGERPRINT) == []
    assert leading.pop(warmup.ANIMATE_BYTES, []) == []  # it computes what `animate` does
    assert leading == {key: list(expected) for key in leading}


def _frames(inputs) -> int:
    (count,) = {value.shape[1] for value in inputs.values()}
    return count


def test_faces_are_inside_the_picture_and_psi_is_neutral(models):
    animate = [
        request for request in requests_in(models / "generator") if request.model_spec.signature_name == "animate"
    ]
    request = animate[warmup.BATCH_SIZES["gpu"].index(2)]
    landmarks = tf.make_ndarray(request.inputs["landmarks"])
    assert landmarks.shape == (2, POINTS, 2)
    assert landmarks.min() > 0 and landmarks.max() < SIZE and np.ptp(landmarks) > SIZE / 4
    psi = tf.make_ndarray(request.inputs["adain_params"])
    np.testing.assert_array_equal(psi, np.tile(neutral_adain_params(CONFIG.model), (2, 1)))


def test_batching_parameters_stand_beside_the_generator_only(models):
    parameters = read_text_proto(models / "generator" / warmup.BATCHING_FILE, BatchingParameters)
    assert tuple(parameters.allowed_batch_sizes) == warmup.BATCH_SIZES["gpu"]
    # TF Serving refuses the model otherwise, and a larger warm-up request too.
    assert parameters.max_batch_size.value == warmup.BATCH_SIZES["gpu"][-1]
    # Threads belong to the whole server: TF Serving reads them from the common file.
    assert not parameters.HasField("num_batch_threads")
    # Requests of different K in one batch would fail together, so nothing is joined.
    assert not (models / "embedder" / warmup.BATCHING_FILE).exists()


def test_on_a_cpu_nothing_is_padded():
    parameters = text_format.Parse(warmup.batching_parameters("cpu"), BatchingParameters())
    assert not parameters.allowed_batch_sizes
    assert parameters.max_batch_size.value >= warmup.BATCH_SIZES["cpu"][-1]


def signature(**inputs):
    """A SignatureDef; dimensions None are free."""
    made = meta_graph_pb2.SignatureDef()
    for key, (dtype, shape) in inputs.items():
        made.inputs[key].dtype = dtype.as_datatype_enum
        made.inputs[key].tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return made


@pytest.mark.parametrize("scheme", ["ibug68", "ibug68_gaze"])
def test_whole_photos_are_jpeg_files_with_landmarks_in_their_pixels(scheme):
    points = get_scheme(scheme).num_points
    embed_jpeg = signature(images=(tf.string, [None, None]), landmarks=(tf.float32, [None, None, points, 2]))
    requests = list(warmup.warmup_requests({"embed_jpeg": embed_jpeg}, nano(scheme), [1]))
    assert len(requests) == len(warmup.FRAMES_PER_PERSON)
    for request, count in zip(requests, warmup.FRAMES_PER_PERSON, strict=True):
        images = tf.make_ndarray(request.inputs["images"])
        landmarks = tf.make_ndarray(request.inputs["landmarks"])
        assert images.shape == (1, count) and landmarks.shape == (1, count, points, 2)
        height, width, _ = tf.io.decode_jpeg(images[0, -1]).shape
        assert height > SIZE  # not a crop
        inside = (landmarks > 0) & (landmarks < [width, height])
        assert inside.all()
        # A face fills about 2/5 of an uncropped frame: the points are in its pixels.
        assert 0.2 * width < np.ptp(landmarks[..., 0]) < 0.6 * width


def test_an_input_that_nobody_knows_is_named():
    unknown = signature(landmarks=(tf.float32, [None, POINTS, 2]), mood=(tf.float32, [None]))
    with pytest.raises(ValueError, match=r"animate.*\['mood'\].*adain_params"):
        list(warmup.warmup_requests({"animate": unknown}, CONFIG, [1]))


@pytest.mark.parametrize("sizes", [(), (0, 1), (2, 1), (4, 4)])
def test_batch_sizes_that_do_not_rise_are_refused(sizes):
    with pytest.raises(ValueError, match="batch_sizes"):
        warmup.batching_parameters("gpu", sizes)


def test_an_unknown_device_is_refused_before_anything_is_written(models, tmp_path):
    shutil.copy(models / "generator" / "saved_model.pb", tmp_path)
    with pytest.raises(ValueError, match="device: got 'tpu', expected one of .'cpu', 'gpu'."):
        warmup.write_serving_files(tmp_path, CONFIG, device="tpu")
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model.pb"]


def test_more_requests_than_a_server_takes_are_refused(models, monkeypatch):
    monkeypatch.setattr(warmup, "MAX_RECORDS", 9)
    before = (models / "generator" / warmup.WARMUP_FILE).read_bytes()
    with pytest.raises(ValueError, match="10 warm-up requests, expected at most 9"):
        warmup.write_serving_files(models / "generator", CONFIG, "gpu")
    assert (models / "generator" / warmup.WARMUP_FILE).read_bytes() == before
