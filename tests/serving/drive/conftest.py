import pytest

from serving.client.blocking import TalkingHeadClient
from serving.drive import heads
from tests.scripted_detector import ScriptedDetector


@pytest.fixture
def detect_as(monkeypatch):
    """detect_as(script): what the detector finds in the frames of the next source."""

    def use(script):
        detector = ScriptedDetector.in_order(script)
        monkeypatch.setattr(heads, "get_detector", lambda *_, **__: detector)

    return use


@pytest.fixture(scope="module")
def client(toy_server):
    with TalkingHeadClient(toy_server.target) as client:
        yield client
