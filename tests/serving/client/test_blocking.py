"""The client against the embedded server, and against a scripted one that answers as it likes."""

import threading
import time

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2

from serving.client.blocking import CardMismatchError, TalkingHeadClient, TalkingHeadError
from serving.client.messages import read_jpeg
from serving.protocol.tensors import decode
from tests.serving.client_helpers import (
    ADAIN,
    POINTS,
    SIZE,
    ScriptedServer,
    column_of_point,
    grey_answer,
    jpeg_answer,
    make_card,
    signatures_of,
    track,
)


@pytest.fixture(scope="module")
def client(toy_server):
    with TalkingHeadClient(toy_server.target) as client:
        yield client


@pytest.mark.parametrize("batch_size", [1, 4])
def test_animate_yields_rgb_frames_in_order(client, batch_size):
    frames = list(client.animate(track(10), make_card(), batch_size=batch_size))
    assert [column_of_point(frame) for frame in frames] == list(range(4, 14))
    assert all(f.dtype == np.uint8 and f.shape == (SIZE, SIZE, 3) for f in frames)
    assert np.abs(frames[0][50, 50].astype(int) - (40, 80, 120)).max() <= 4  # RGB, not BGR


def test_animate_takes_bare_params_and_reads_an_endless_source_as_it_goes(client):
    taken = []

    def endless():
        for landmarks in track(1000):
            taken.append(1)
            yield landmarks

    adain_params = make_card().adain_params
    stream = client.animate(endless(), adain_params, model="generator")
    assert column_of_point(next(stream)) == 4
    assert len(taken) <= 4  # max_in_flight
    stream.close()


def test_jpeg_files_are_those_of_the_frames(client):
    files = list(client.animate_jpeg(track(3), make_card(), batch_size=2))
    assert len(files) == 3 and all(data[:2] == b"\xff\xd8" for data in files)
    for data, frame in zip(files, client.animate(track(3), make_card()), strict=True):
        np.testing.assert_array_equal(read_jpeg(data), frame)
    with pytest.raises(TalkingHeadError, match="DATA_LOSS: the server's frame is no JPEG"):
        read_jpeg(files[0][2:])


def test_embed_one_person_and_several(client):
    frames = np.full((2, 3, SIZE, SIZE, 3), 7, np.uint8)
    frames[1] = 9
    landmarks = np.zeros((2, 3, POINTS, 2), np.float32)
    embedding, adain_params = client.embed(frames, landmarks)
    assert embedding.tolist() == [[7, 7, 7, 0], [9, 9, 9, 0]]
    assert adain_params.shape == (2, ADAIN)
    single, params = client.embed(frames[1], landmarks[1])
    np.testing.assert_array_equal(single, embedding[1])
    np.testing.assert_array_equal(params, adain_params[1])


def test_status_metadata_and_waiting(client):
    (status,) = client.model_status("generator")
    assert (status.version, status.state, status.error_code) == (1, "AVAILABLE", 0)
    signatures = client.metadata("generator")
    assert signatures["animate"].inputs["landmarks"].shape == (None, POINTS, 2)
    assert signatures["animate"].inputs["landmarks"].dtype == "float"
    assert signatures["serving_default"].outputs["frames"].dtype == "uint8"
    client.wait_until_ready(["generator", "embedder"], timeout=10)
    with pytest.raises(TalkingHeadError, match="nobody.*not available within 0.2 s.*NOT_FOUND"):
        client.wait_until_ready(["nobody"], timeout=0.2)


@pytest.mark.parametrize(
    ("person", "landmarks", "error", "message"),
    [
        (
            make_card(adain_params=np.zeros(7, np.float32)),
            track(1),
            CardMismatchError,
            "'Ada' and model 'generator'.*adain_params has 7 values, the model expects 6",
        ),
        (
            make_card(image_size=128),
            track(1),
            CardMismatchError,
            "'Ada' and model 'generator'.*image_size is 128 pixels, the model's 64",
        ),
        (make_card(model="embedder"), track(1), CardMismatchError, "'embedder' takes no adain"),
        (np.zeros(5, np.float32), track(1), ValueError, r"adain_params: got shape \[5\]"),
        (make_card(), track(1)[:, :67], ValueError, r"landmarks of frame 0: got shape \[67,2\], expected \[68,2\]"),
        (make_card(), np.full((1, POINTS, 2), np.nan), ValueError, "landmarks of frame 0: not all values are finite"),
        (make_card(), np.full((1, POINTS, 2), "5"), ValueError, "landmarks of frame 0: got <U1, expected float32"),
    ],
)
def test_mismatches_are_named_before_anything_is_sent(client, person, landmarks, error, message):
    with pytest.raises(error, match=message):
        next(client.animate(landmarks, person))


def test_wrong_frames_are_named(client):
    with pytest.raises(ValueError, match="frames: got float32"):
        client.embed(np.zeros((2, SIZE, SIZE, 3), np.float32), track(2))
    with pytest.raises(ValueError, match="a row of points for every frame"):
        client.embed(np.zeros((2, SIZE, SIZE, 3), np.uint8), track(3))


def test_errors_keep_the_servers_code(client, toy_server):
    with pytest.raises(TalkingHeadError, match="NOT_FOUND: Servable not found") as caught:
        next(client.animate(track(1), make_card(), model="nobody"))
    assert caught.value.code == grpc.StatusCode.NOT_FOUND
    with TalkingHeadClient("localhost:1", timeout=5) as lost:
        with pytest.raises(TalkingHeadError, match="localhost:1") as caught:
            lost.metadata("generator")
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def scripted(toy_server):
    """scripted(answer) -> client of a server that has the toy generator's signatures."""
    signatures = signatures_of(toy_server)
    opened = []

    def start(answer, **options):
        server = ScriptedServer(signatures, answer)
        client = TalkingHeadClient(server.target, **options)
        opened.append((client, server))
        return client

    yield start
    for client, server in opened:
        client.close()
        server.server.stop(None)


def test_several_requests_in_flight_and_answers_out_of_order(scripted):
    together = threading.Barrier(4, timeout=20)

    def answer(request, number, context):
        together.wait()  # breaks unless four requests are under way at once
        time.sleep(0.02 * (4 - number % 4))  # the later, the faster
        return jpeg_answer(request)

    client = scripted(answer, max_in_flight=4)
    frames = list(client.animate(track(12), make_card()))
    assert [int(frame[0, 0, 0]) for frame in frames] == list(range(4, 16))


def test_a_failure_comes_after_the_frames_before_it(scripted):
    def answer(request, number, context):
        if decode(request.inputs["landmarks"])[0, 0, 0] == 6:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "queue is full")
        return jpeg_answer(request)

    seen = []
    with pytest.raises(TalkingHeadError, match="frame 2 by model generator.*queue is full") as e:
        for frame in scripted(answer).animate(track(6), make_card()):
            seen.append(int(frame[0, 0, 0]))
    assert seen == [4, 5]
    assert e.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert e.value.details == "queue is full"


def test_deadline(scripted):
    release = threading.Event()

    def answer(request, number, context):
        release.wait(20)
        return grey_answer(0)

    client = scripted(answer, timeout=0.3)
    with pytest.raises(TalkingHeadError) as caught:
        next(client.animate(track(1), make_card()))
    release.set()
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_answer_without_the_output_is_an_error(scripted):
    client = scripted(lambda request, number, context: predict_pb2.PredictResponse())
    with pytest.raises(TalkingHeadError, match="no output 'frames_jpeg'"):
        next(client.animate(track(1), make_card()))
