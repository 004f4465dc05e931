"""The flags of the programs with a client: who, and how to reach the server."""

import functools

import pytest
from absl import flags

from serving import flags as client_flags
from serving.client.channels import TlsOptions
from serving.flags import Server
from tests.serving.client_helpers import make_card

_DEFINE = {kind: getattr(flags, kind) for kind in ("DEFINE_string", "DEFINE_bool")}


@pytest.fixture
def parse(monkeypatch):
    """parse(*arguments): the flags, defined and parsed apart from those of other programs."""

    def use(*arguments):
        values = flags.FlagValues()
        monkeypatch.setattr(client_flags, "FLAGS", values)
        for kind in ("DEFINE_string", "DEFINE_bool"):
            apart = functools.partial(_DEFINE[kind], flag_values=values)
            monkeypatch.setattr(flags, kind, apart)
        client_flags.define_server_flags()
        values(["program", *arguments])

    return use


def test_tls_is_off_plain_or_as_told(parse):
    parse()
    assert client_flags.read_server() == Server("localhost:8500", None)
    parse("--tls")
    assert client_flags.read_server().tls == TlsOptions()
    parse("--server=a:1,b:2", "--tls_ca=ca.pem", "--tls_server_name=talking.example")
    named = TlsOptions(ca="ca.pem", server_name="talking.example")
    assert client_flags.read_server() == Server("a:1,b:2", named)
    parse("--tls_key=key.pem")
    with pytest.raises(ValueError, match="got cert None and key key.pem"):
        client_flags.read_server()


def test_a_person_is_a_file_or_a_name_in_a_registry(tmp_path):
    people = tmp_path / "people"
    path = make_card().save(people / "Ada.npz")
    for person, folder in ((str(path), None), (str(path), str(people)), ("Ada", str(people))):
        card, found = client_flags.load_person(person, folder)
        assert card == make_card() and found == path
    with pytest.raises(FileNotFoundError, match="no person 'Adda' among the 1 in .*nearest: Ada"):
        client_flags.load_person("Adda", str(people))
    with pytest.raises(FileNotFoundError, match="person card Ada: no such file"):
        client_flags.load_person("Ada", None)
    with pytest.raises(FileNotFoundError, match="nothing: no such folder"):
        client_flags.load_person("Ada", str(tmp_path / "nothing"))
