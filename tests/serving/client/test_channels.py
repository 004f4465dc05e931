"""Targets, balancing, retries and TLS, against scripted servers and two real ones."""

import asyncio
import signal

import grpc
import numpy as np
import pytest
import tensorflow as tf

from serving.client.asynchronous import AsyncTalkingHeadClient
from serving.client.blocking import TalkingHeadClient, TalkingHeadError
from serving.client.channels import TlsOptions, connection
from tests.serving.certificates import make_identities
from tests.serving.client_helpers import (
    POINTS,
    ScriptedServer,
    column_of_point,
    grey_answer,
    make_card,
    signatures_of,
    track,
)


@pytest.mark.parametrize(
    ("server", "target"),
    [
        ("localhost:8500", "localhost:8500"),
        ("models.default:8500", "models.default:8500"),
        ("dns:///models:8500", "dns:///models:8500"),
        ("unix:/run/models.sock", "unix:/run/models.sock"),
        ("10.0.0.1:8500, 10.0.0.2:8501", "ipv4:10.0.0.1:8500,10.0.0.2:8501"),
        ("[::1]:8500,[fe80::2]:8501", "ipv6:[::1]:8500,[fe80::2]:8501"),
    ],
)
def test_targets(server, target):
    assert connection(server).target == target


def test_names_in_a_list_are_looked_up():
    assert connection("localhost:8500,127.0.0.2:8501").target.startswith("ipv4:127.0.0.1:8500,")


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("localhost", "'localhost', expected HOST:PORT"),
        ("127.0.0.1:8500,:8501", "':8501', expected HOST:PORT"),
        ("127.0.0.1:8500,", "'', expected HOST:PORT"),
        ("127.0.0.1:99999", "'127.0.0.1:99999', expected HOST:PORT"),
        ("127.0.0.1:1,nowhere.invalid:2", "server 'nowhere.invalid': no address found"),
        ("127.0.0.1:1,[::1]:2", "some have IPv4 and others IPv6 addresses only"),
    ],
)
def test_wrong_targets_are_named(server, message):
    with pytest.raises(ValueError, match=message):
        TalkingHeadClient(server)


def test_wrong_retries_and_tls_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="retries: got 5, expected 0 to 4"):
        TalkingHeadClient("localhost:1", retries=5)
    with pytest.raises(ValueError, match="got cert a.pem and key None"):
        TlsOptions(cert="a.pem")
    with pytest.raises(ValueError, match="root certificates /nowhere.pem: No such file"):
        TalkingHeadClient("localhost:1", tls=TlsOptions(ca="/nowhere.pem"))
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(ValueError, match="ca.pem: no PEM file"):
        TalkingHeadClient("localhost:1", tls=TlsOptions(ca=str(tmp_path / "ca.pem")))


@pytest.fixture
def scripted(toy_server):
    """scripted(answer, credentials) -> a server with the toy generator's signatures."""
    servers = []

    def start(answer, credentials=None):
        servers.append(ScriptedServer(signatures_of(toy_server), answer, credentials))
        return servers[-1]

    yield start
    for server in servers:
        server.server.stop(None)


def failing(times, code):
    """Answers that refuse the first `times` requests, and the sizes of all that came."""
    seen = []

    def answer(request, number, context):
        seen.append(request.ByteSize())
        if number < times:
            context.abort(code, "come again")
        return grey_answer(9)

    return answer, seen


def test_unavailable_is_tried_again_within_the_deadline(scripted):
    answer, seen = failing(2, grpc.StatusCode.UNAVAILABLE)
    with TalkingHeadClient(scripted(answer).target, timeout=20) as client:
        (frame,) = client.animate(track(1), make_card())
        assert frame.max() == 9 and len(seen) == 3

    answer, seen = failing(9, grpc.StatusCode.UNAVAILABLE)
    with TalkingHeadClient(scripted(answer).target, timeout=0.5) as client:
        with pytest.raises(TalkingHeadError) as caught:  # five attempts take a second and more
            list(client.animate(track(1), make_card()))
        assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED and 1 < len(seen) < 5

    answer, seen = failing(1, grpc.StatusCode.UNAVAILABLE)
    with TalkingHeadClient(scripted(answer).target) as client:
        # 500 landmark sets are more than gRPC keeps for another attempt by default (256 kB).
        assert len(list(client.animate(track(500), make_card(), batch_size=500))) == 1
        assert [size > 256 * 1024 for size in seen] == [True, True]


def test_nothing_else_is_tried_again_and_retries_can_be_off(scripted):
    for code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL):
        answer, seen = failing(1, code)
        with TalkingHeadClient(scripted(answer).target) as client:
            with pytest.raises(TalkingHeadError, match=f"{code.name}: come again"):
                next(client.animate(track(1), make_card()))
            assert len(seen) == 1
    answer, seen = failing(1, grpc.StatusCode.UNAVAILABLE)
    with TalkingHeadClient(scripted(answer).target, retries=0) as client:
        with pytest.raises(TalkingHeadError, match="UNAVAILABLE: come again"):
            next(client.animate(track(1), make_card()))
        assert len(seen) == 1


def test_requests_are_spread_over_the_servers_and_a_dead_one_is_left_out(scripted):
    counts = [0, 0]

    def counting(which):
        def answer(request, number, context):
            counts[which] += 1
            return grey_answer(which)

        return answer

    servers = [scripted(counting(which)) for which in (0, 1)]
    with TalkingHeadClient(",".join(server.target for server in servers)) as client:
        client.metadata("generator")  # both connections come up
        list(client.animate(track(40), make_card()))
        assert sum(counts) == 40 and min(counts) >= 5
        servers[0].server.stop(None).wait()
        before = counts[1]
        assert len(list(client.animate(track(20), make_card()))) == 20
        assert counts[1] == before + 20
    with TalkingHeadClient(f"127.0.0.1:1,{servers[1].target}") as client:  # dead from the start
        assert len(list(client.animate(track(20), make_card()))) == 20


class Photos(tf.Module):
    """`embed_jpeg` of the contract: mean brightness of the photos, decoded in the graph."""

    def embed(self, photos, landmarks):
        def mean(data):
            image = tf.io.decode_image(data, channels=3, expand_animations=False)
            return tf.reduce_mean(tf.cast(image, tf.float32))

        means = tf.map_fn(
            lambda row: tf.reduce_mean(tf.map_fn(mean, row, fn_output_signature=tf.float32)),
            photos,
            fn_output_signature=tf.float32,
        )
        place = tf.reduce_mean(landmarks, [1, 2, 3])
        both = tf.stack([means, place], 1)
        return {"embedding": both, "adain_params": tf.tile(both, [1, 3])}


@pytest.fixture(scope="module")
def second_server(toys, toy_models, start_server, tmp_path_factory):
    """A second real server: the toy generator, and an embedder that takes photos."""
    folder = tmp_path_factory.mktemp("second")
    toy = Photos()
    specs = [
        tf.TensorSpec([None, None], tf.string, "images"),
        tf.TensorSpec([None, None, POINTS, 2], tf.float32, "landmarks"),
    ]
    call = tf.function(lambda images, landmarks: toy.embed(images, landmarks))
    signature = call.get_concrete_function(*specs)
    path = folder / "embedder" / "1"
    tf.saved_model.save(toy, str(path), signatures={"embed_jpeg": signature})
    models = {"generator": toy_models / "generator", "embedder": folder / "embedder"}
    (folder / "models.config").write_text(toys.config_text(models))
    return start_server(folder / "models.config")


def test_embed_jpeg_sends_whole_photos(second_server):
    photos = [
        tf.io.encode_jpeg(np.full((30, 50, 3), 60, np.uint8)).numpy(),
        tf.io.encode_png(np.full((90, 20, 3), 80, np.uint8)).numpy(),
    ]
    landmarks = np.full((2, POINTS, 2), 5, np.float32)

    async def ask():
        async with AsyncTalkingHeadClient(second_server.target) as client:
            return await client.embed_jpeg(photos, landmarks)

    with TalkingHeadClient(second_server.target) as client:
        for embedding, adain_params in (client.embed_jpeg(photos, landmarks), asyncio.run(ask())):
            np.testing.assert_allclose(embedding, [70, 5], atol=1)
            assert adain_params.shape == (6,)
        with pytest.raises(ValueError, match=r"images\[1\]: expected the bytes of a JPEG or PNG"):
            client.embed_jpeg([photos[0], b"GIF89a"], landmarks)
        with pytest.raises(ValueError, match=r"landmarks: got \[1, 68, 2\] for 2 images"):
            client.embed_jpeg(photos, landmarks[:1])
        with pytest.raises(ValueError, match="not all values are finite"):
            client.embed_jpeg(photos, landmarks * np.nan)


def test_killing_one_of_two_servers_fails_no_request(toy_server, second_server):
    """Last in this module: the second server does not live on."""
    columns = []
    with TalkingHeadClient(f"{toy_server.target},{second_server.target}") as client:
        for index, frame in enumerate(client.animate(np.concatenate([track(50)] * 4), make_card())):
            columns.append(column_of_point(frame))
            if index == 60:
                second_server.process.send_signal(signal.SIGKILL)
    assert columns == list(range(4, 54)) * 4
    assert second_server.process.wait(timeout=20) == -signal.SIGKILL


def test_tls_with_client_certificates(scripted, tmp_path):
    authority, server, mine = make_identities()
    files = {"ca": authority.certificate, "cert": mine.certificate, "key": mine.key}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = {name: str(tmp_path / name) for name in files}
    credentials = grpc.ssl_server_credentials(
        [(server.key, server.certificate)], authority.certificate, require_client_auth=True
    )
    running = scripted(lambda request, number, context: grey_answer(9), credentials)
    by_name = running.target.replace("127.0.0.1", "localhost")  # the certificate has the address
    named = TlsOptions(**paths, server_name="127.0.0.1")
    for target, tls in (
        (running.target, TlsOptions(**paths)),
        (f"{running.target},127.0.0.1:1", TlsOptions(**paths)),
        (by_name, named),
        (f"{by_name},127.0.0.1:1", named),
    ):
        with TalkingHeadClient(target, tls=tls, timeout=10) as client:
            assert next(client.animate(track(1), make_card())).max() == 9

    async def ask():
        async with AsyncTalkingHeadClient(by_name, tls=named, timeout=10) as client:
            return await anext(client.animate(track(1), make_card()))

    assert asyncio.run(ask()).max() == 9
    for target, wrong in (
        (by_name, TlsOptions(**paths)),  # another name than the certificate's
        (running.target, TlsOptions(ca=paths["ca"])),  # no certificate of its own
        (running.target, None),
    ):
        with TalkingHeadClient(target, tls=wrong, timeout=5, retries=0) as client:
            with pytest.raises(TalkingHeadError) as caught:
                client.metadata("generator")
            assert caught.value.code == grpc.StatusCode.UNAVAILABLE
