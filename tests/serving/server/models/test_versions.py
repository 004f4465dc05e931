"""What is known of versions, without a server."""

import threading

import grpc
import pytest
from tensorflow_serving.apis import model_pb2

from serving.server.errors import ServingError
from serving.server.models.versions import State, VersionTable
from tests.serving.waiting import until

BROKEN = ServingError(grpc.StatusCode.NOT_FOUND, "no model in it")


class Loaded:
    """A servable that nobody holds."""

    def __init__(self, version=1):
        self.version, self.refs, self.closed, self.interrupted = version, 0, threading.Event(), 0

    def close(self):
        self.closed.set()

    def interrupt(self):
        self.interrupted += 1


@pytest.fixture
def versions():
    return VersionTable()


def load(versions, number, result=None, name="generator"):
    """Begins and finishes a version; returns what was loaded."""
    result = result or Loaded(number)
    versions.begin(name, number)
    versions.finish(name, number, result)
    return result


def spec(name="generator", **choice):
    found = model_pb2.ModelSpec(name=name)
    if "version" in choice:
        found.version.value = choice["version"]
    if "label" in choice:
        found.version_label = choice["label"]
    return found


def test_of_ended_versions_the_newest_are_remembered(versions):
    for number in range(1, 41):
        load(versions, number)
        if number > 1:
            versions.unload("generator", number - 1)
    states = [(entry.version, entry.state) for entry in versions.status(spec()).model_version_status]
    assert states == [(40, State.AVAILABLE), *((number, State.END) for number in range(39, 23, -1))]


def test_states_from_loading_to_the_end(versions):
    assert (versions.names(), versions.numbers("generator", State.AVAILABLE)) == ([], set())
    versions.begin("generator", 3)
    assert versions.states() == [("generator", 3, "LOADING")]
    servable = Loaded(3)
    versions.finish("generator", 3, servable)
    assert versions.numbers("generator", State.AVAILABLE) == {3}
    versions.unload("generator", 3)
    assert servable.closed.is_set() and versions.states() == [("generator", 3, "END")]
    with pytest.raises(ServingError, match=r"Servable not found for request: Latest\(generator\)"):
        versions.hold(spec()).__enter__()
    assert versions.names() == ["generator"]


def test_what_is_held_is_freed_by_the_last_that_lets_go(versions):
    servable, other = load(versions, 1), load(versions, 2)
    with versions.hold(spec(version=1)) as first:
        with versions.hold(spec(version=1)) as second:
            assert first is second is servable and servable.refs == 2
            versions.unload("generator", 1)
            assert versions.numbers("generator", State.UNLOADING) == {1}
            versions.interrupt()
            assert (servable.interrupted, other.interrupted) == (1, 0)
        assert servable.refs == 1 and not servable.closed.is_set()
    assert servable.closed.wait(30)
    until(lambda: versions.numbers("generator", State.END) == {1})
    with versions.hold(spec()) as newest:
        assert newest is other
    assert other.refs == 0 and not other.closed.is_set()
    assert versions.numbers("generator", State.AVAILABLE) == {2}


def test_requests_name_a_version_a_label_or_nothing(versions):
    for number in (1, 2, 10):
        load(versions, number)
    versions.label({"generator": {"stable": 1}}, allow_unavailable=False)
    for choice, number in (({}, 10), ({"version": 2}, 2), ({"label": "stable"}, 1)):
        with versions.hold(spec(**choice)) as servable:
            assert servable.version == number
    for wrong, message in (
        (spec(name=""), "no name specified"),
        (spec(version=3), r"Specific\(generator, 3\)"),
        (spec(label="canary"), "Unrecognized servable version label: canary"),
    ):
        with pytest.raises(ServingError, match=message):
            versions.hold(wrong).__enter__()
    assert [e.version for e in versions.status(spec(label="stable")).model_version_status] == [1]
    with pytest.raises(ServingError, match="Could not find version 3 of model generator"):
        versions.status(spec(version=3))
    with pytest.raises(ServingError, match="Could not find any versions of model nobody"):
        versions.status(spec(name="nobody"))


def test_labels_belong_to_available_versions_unless_allowed(versions):
    load(versions, 1), load(versions, 2, BROKEN)
    versions.label({"generator": {"stable": 1}}, allow_unavailable=False)
    with pytest.raises(ServingError, match="assign label to version 2 of model generator, which is not currently"):
        versions.label({"generator": {"stable": 1, "canary": 2}}, allow_unavailable=False)
    with pytest.raises(ServingError, match="Unrecognized"):  # nothing has changed
        versions.status(spec(label="canary"))
    versions.label({"generator": {"stable": 1, "canary": 2}}, allow_unavailable=True)
    assert versions.status(spec(label="canary")).model_version_status[0].version == 2
    with pytest.raises(ServingError, match="version 2"):  # a label is not moved to what can not be used
        versions.label({"generator": {"stable": 2}}, allow_unavailable=True)


def test_errors_of_a_version_are_told(versions):
    load(versions, 1, BROKEN)
    (entry,) = versions.status(spec()).model_version_status
    assert (entry.state, entry.status.error_code, entry.status.error_message) == (State.END, 5, "no model in it")


def test_what_may_be_loaded(versions):
    load(versions, 1), load(versions, 2, BROKEN), load(versions, 3)
    assert versions.untried("generator", {1, 2, 3, 4}) == {4}
    versions.unload("generator", 3)  # unloaded, it may come back at once
    assert versions.untried("generator", {1, 2, 3, 4}) == {3, 4}
    versions.forget_failures("generator", keep={2})
    assert versions.untried("generator", {1, 2}) == set()
    versions.forget_failures("generator")
    assert versions.untried("generator", {1, 2}) == {2}
    assert versions.untried("nobody", {7}) == {7}
    versions.forget_failures("nobody")


def test_waiting_ends_when_all_models_are_there_or_have_failed(versions):
    load(versions, 1)
    assert versions.wait_until_available({"generator"}, lambda: False) is True
    assert versions.wait_until_available({"generator"}, lambda: True) is False
    waited = []

    def nobody_came():
        waited.append(len(waited))
        if len(waited) == 3:
            load(versions, 1, BROKEN, name="embedder")
        return False

    with pytest.raises(ServingError) as caught:
        versions.wait_until_available({"generator", "embedder"}, nobody_came)
    assert caught.value.code == grpc.StatusCode.UNKNOWN and waited == [0, 1, 2]
    assert "1 model(s) did not become available: {{{name: embedder version: 1} due to error: " in caught.value.message
    # A failed version beside an available one does no harm; one that is tried again is waited for.
    load(versions, 2, name="embedder")
    assert versions.wait_until_available({"generator", "embedder"}, lambda: False) is True
    versions.unload("embedder", 2)
    versions.forget_failures("embedder")
    assert versions.wait_until_available({"embedder"}, iter([False, True]).__next__) is False
