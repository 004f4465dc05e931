"""Cards and versions: only the weights that a card was made for draw its person."""

import asyncio
import contextlib
import logging
import shutil
import time

import numpy as np
import pytest

from serving.client import AsyncTalkingHeadClient
from serving.client.blocking import CardMismatchError, TalkingHeadClient, TalkingHeadError
from serving.client.messages import ModelChoice
from serving.drive.animation import animate_video
from serving.drive.driving import open_driving
from serving.drive.session import SessionOptions, run_session
from tests.serving.client_helpers import BACKGROUND, make_card, track
from tf_talking.media.video_reader import read_frames

OLD, NEW, OTHER = ("a" * 64, "b" * 64, "c" * 64)
SHADE = 30  # version 2 draws darker
BOTH = 'model_version_policy { all {} } version_labels { key: "stable" value: 1 }'


def made_by(fingerprint: str, **changes):
    return make_card(fingerprint=fingerprint, **changes)


def shade_of(frame) -> int:
    """0 or SHADE; JPEG moves it by a level."""
    return SHADE * round(float(np.mean(np.array(BACKGROUND) - frame[50, 50].astype(int))) / SHADE)


@pytest.fixture(scope="module")
def models(tmp_path_factory, toys):
    """Two versions of a generator with other weights, and one without a fingerprint."""
    folder = tmp_path_factory.mktemp("versions")
    toys.save_generator(folder / "generator" / "1", OLD)
    toys.save_generator(folder / "generator" / "2", NEW, SHADE)
    toys.save_generator(folder / "plain" / "1")
    names = {name: folder / name for name in ("generator", "plain")}
    (folder / "models.config").write_text(toys.config_text(names, generator=BOTH))
    return folder


@pytest.fixture(scope="module")
def server(models, start_server):
    server = start_server(models / "models.config", "--allow_version_labels_for_unavailable_models")
    yield server
    server.terminate()


@pytest.fixture
def client(server):
    with TalkingHeadClient(server.target) as client:
        client.wait_until_ready()
        deadline = time.monotonic() + 60
        while sum(s.state == "AVAILABLE" for s in client.model_status("generator")) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield client


def test_metadata_tell_version_and_fingerprint(client):
    assert (client.served("generator").version, client.served("generator").fingerprint) == (2, NEW)
    assert client.served("generator", version=1).fingerprint == OLD
    assert client.served("generator", label="stable").version == 1
    assert client.served("plain").fingerprint == ""
    assert set(client.metadata("generator", version=1)) >= {"animate", "fingerprint"}
    with pytest.raises(TalkingHeadError, match="NOT_FOUND"):
        client.served("generator", version=3)
    with pytest.raises(ValueError, match="expected at most one"):
        ModelChoice("generator", 1, "stable")


def test_a_card_is_drawn_by_its_own_version_and_by_no_other(client):
    frames = {name: next(client.animate(track(1), made_by(name))) for name in (OLD, NEW)}
    assert shade_of(frames[OLD]) == 0 and shade_of(frames[NEW]) == SHADE
    with pytest.raises(CardMismatchError, match=r"for weights cccccccccccc, version 2 has bbbbbbbbbbbb; renew it"):
        next(client.animate(track(1), made_by(OTHER)))
    # Asked for, the other one is not taken instead.
    for asked in ({"version": 1}, {"label": "stable"}):
        assert shade_of(next(client.animate(track(1), made_by(OLD), **asked))) == 0
        with pytest.raises(CardMismatchError, match="version 1 has aaaaaaaaaaaa"):
            next(client.animate(track(1), made_by(NEW), **asked))


def test_bare_params_take_the_version_asked_for(client):
    params = make_card().adain_params
    assert shade_of(next(client.animate(track(1), params))) == SHADE
    assert shade_of(next(client.animate(track(1), params, version=1))) == 0
    assert shade_of(next(client.animate(track(1), params, label="stable"))) == 0


def test_old_cards_and_old_models_are_drawn_with_one_warning(client, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert shade_of(next(client.animate(track(1), make_card(name="Old")))) == SHADE
            assert next(client.animate(track(1), made_by(OLD), model="plain")) is not None
            assert next(client.animate(track(1), make_card(name="Older"), model="plain")) is not None
    texts = [record.getMessage() for record in caplog.records if "fingerprints" in record.getMessage()]
    assert len(texts) == 2
    assert texts[0].startswith("person card 'Old' is from before") and texts[1].startswith("model 'plain' at")


def test_asynchronous_client_as_well(client, server):
    async def seen(person, **asked):
        async with AsyncTalkingHeadClient(server.target) as asynchronous:
            async with contextlib.aclosing(asynchronous.stream(list(track(2)), person, **asked)) as frames:
                return [shade_of(frame.frame) async for frame in frames]

    assert asyncio.run(seen(made_by(OLD))) == [0, 0]
    assert asyncio.run(seen(made_by(NEW))) == [SHADE, SHADE]
    assert asyncio.run(seen(make_card().adain_params, version=1)) == [0, 0]
    with pytest.raises(CardMismatchError, match="weights c"):
        asyncio.run(seen(made_by(OTHER)))


@pytest.mark.parametrize("asked", [{"version": 1}, {"label": "stable"}])
def test_videos_and_sessions_are_drawn_by_the_version_asked_for(client, server, tmp_path, asked):
    choice = ModelChoice("generator", **asked)
    np.save(tmp_path / "track.npy", track(2))
    old = make_card()  # without a fingerprint any version draws it, the newest by default
    driving = open_driving(tmp_path / "track.npy", old)
    for given, shade in ((choice, 0), (None, SHADE)):
        animate_video(client, old, driving, tmp_path / "out.mp4", given)
        assert [shade_of(frame) for frame in read_frames(tmp_path / "out.mp4")] == [shade] * 2
        assert [shade_of(picture) for picture in shown_by(server, driving, old, given)] == [shade] * 2
    with pytest.raises(CardMismatchError, match="version 1 has aaaaaaaaaaaa"):
        animate_video(client, made_by(NEW), driving, tmp_path / "other.mp4", choice)
    with pytest.raises(CardMismatchError, match="version 1 has aaaaaaaaaaaa"):
        shown_by(server, driving, made_by(NEW), choice)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "track.npy"]


def shown_by(server, driving, card, choice) -> list[np.ndarray]:
    async def show():
        shown = []
        async with AsyncTalkingHeadClient(server.target) as asynchronous:
            sinks = [lambda picture, seconds: shown.append(picture)]
            options = SessionOptions(live=False, choice=choice)
            await run_session(asynchronous, card, driving.frames, sinks, asyncio.Event(), options)
        return shown

    return asyncio.run(show())


@pytest.mark.parametrize(("fingerprint", "fits"), [(OLD, True), (NEW, False)])
def test_a_model_that_changes_while_frames_are_drawn(tmp_path, models, toys, start_server, fingerprint, fits):
    shutil.copytree(models / "generator" / "1", tmp_path / "generator" / "1")
    (tmp_path / "models.config").write_text(toys.config_text({"generator": tmp_path / "generator"}))
    server = start_server(tmp_path / "models.config", "--file_system_poll_wait_seconds=0.05")

    def landmarks():
        yield from track(3)
        toys.save_generator(tmp_path / "new", fingerprint, SHADE)
        (tmp_path / "new").rename(tmp_path / "generator" / "2")
        with TalkingHeadClient(server.target) as other:
            deadline = time.monotonic() + 60
            while other.served("generator").version != 2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield from track(8)

    seen = []
    with TalkingHeadClient(server.target, max_in_flight=1) as client:
        with contextlib.nullcontext() if fits else pytest.raises(CardMismatchError, match="version 2 has bbbb"):
            for frame in client.animate(landmarks(), made_by(OLD)):
                seen.append(shade_of(frame))
    assert seen == ([0] * 3 + [SHADE] * 8 if fits else [0] * 3)
    server.terminate()
