"""The flags of the programs with a client: who, and how to reach the server."""

import functools

import pytest
from absl import flags

from serving import flags as client_flags
from serving.client.channels import TlsOptions
from serving.client.messages import ModelChoice
from serving.flags import Server
from tests.serving.client_helpers import make_card

_DEFINE = {kind: getattr(flags, kind) for kind in ("DEFINE_string", "DEFINE_bool", "DEFINE_integer")}


@pytest.fixture
def parse(monkeypatch):
    """parse(*arguments): the flags, defined and parsed apart from those of other programs."""

    def use(*arguments):
        values = flags.FlagValues()
        monkeypatch.setattr(client_flags, "FLAGS", values)
        for kind, define in _DEFINE.items():
            apart = functools.partial(define, flag_values=values)
            monkeypatch.setattr(flags, kind, apart)
        client_flags.define_server_flags()
        client_flags.define_model_flags()
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


def test_who_draws_is_the_cards_model_or_as_told(parse):
    card = make_card(model="person_ada")
    parse()
    assert client_flags.read_model(card) == ModelChoice("person_ada")
    parse("--model=generator", "--model_version=3")
    assert client_flags.read_model(card) == ModelChoice("generator", version=3)
    parse("--model_label=stable")
    assert client_flags.read_model(card) == ModelChoice("person_ada", label="stable")
    parse("--model_label=stable", "--model_version=3")
    with pytest.raises(ValueError, match="--model_version and --model_label: got version 3 and label 'stable'"):
        client_flags.read_model(card)


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


@pytest.mark.parametrize("name", ["noname", "x.gif", "x.webm", "x.mpg", "folder.mp4"])
def test_an_output_that_can_not_be_written_is_named_before_the_work(tmp_path, name):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match=f"^--output .*{name}: "):
        client_flags.check_output(str(tmp_path / name), None)
    with pytest.raises(FileNotFoundError, match="^--output .*missing does not exist"):
        client_flags.check_output(str(tmp_path / "missing" / "x.mp4"), None)


def test_the_driving_file_is_not_replaced(tmp_path):
    driving, link = tmp_path / "a.mp4", tmp_path / "link.mp4"
    driving.write_bytes(b"video")
    link.symlink_to(driving)
    for output in (driving, tmp_path / "." / "a.mp4", link):
        with pytest.raises(ValueError, match=f"^--output {output}: is the file that drives"):
            client_flags.check_output(str(output), str(driving))
    (tmp_path / "b.mp4").write_bytes(b"older result")
    client_flags.check_output(str(tmp_path / "b.mp4"), str(driving))
    client_flags.check_output(str(tmp_path / "new.mp4"), str(tmp_path / "nothing.mp4"))
