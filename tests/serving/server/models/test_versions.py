"""What is known of versions, without a server."""

from serving.server.models.versions import State, VersionTable
from tests.serving.api_requests import status_request


class Idle:
    """A servable that nobody holds."""

    refs = 0

    def close(self):
        pass


def test_of_ended_versions_the_newest_are_remembered():
    versions = VersionTable()
    for number in range(1, 41):
        versions.begin("generator", number)
        versions.finish("generator", number, Idle())
        if number > 1:
            versions.unload("generator", number - 1)
    states = [
        (entry.version, entry.state) for entry in versions.status(status_request().model_spec).model_version_status
    ]
    assert states == [(40, State.AVAILABLE), *((number, State.END) for number in range(39, 23, -1))]
