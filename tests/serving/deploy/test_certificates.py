"""serving/deploy/make_test_certificates.sh: real files, used for a real gRPC handshake."""

import ipaddress
import os
import subprocess
from concurrent import futures

import grpc
import pytest
from cryptography import x509

from serving.server.config_protos import SSLConfig, read_text_proto


@pytest.fixture(scope="module")
def script(repo_root):
    return repo_root / "serving" / "deploy" / "make_test_certificates.sh"


def run(script, *arguments, **environment):
    return subprocess.run(
        ["bash", str(script), *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def folder(script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls") / "certificates"
    done = run(script, folder, "frames.example.com", "10.1.2.3", DAYS="7")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def config(folder):
    return read_text_proto(folder / "ssl.config", SSLConfig)


@pytest.fixture(scope="module")
def server(config):
    """Made of the SSLConfig as TF Serving makes its own; answers every method with its request."""
    server = grpc.server(futures.ThreadPoolExecutor(2))

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request)

    server.add_generic_rpc_handlers((Echo(),))
    credentials = grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode(),
        require_client_auth=config.client_verify,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield port
    server.stop(None)


def call(port, ca, key=None, certificate=None, name=None):
    """Sends b"frame"; returns the answer."""
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    options = [("grpc.ssl_target_name_override", name)] if name else []
    with grpc.secure_channel(f"localhost:{port}", credentials, options) as channel:
        return channel.unary_unary("/any/Method")(b"frame", timeout=10)


def pair(folder):
    return (folder / "client.key").read_bytes(), (folder / "client.crt").read_bytes()


@pytest.mark.parametrize("name", [None, "tf-serving", "tf-serving-headless", "frames.example.com"])
def test_client_and_server_know_each_other(folder, server, name):
    assert call(server, (folder / "ca.crt").read_bytes(), *pair(folder), name) == b"frame"


def refused(*arguments):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments)
    return caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_strangers_are_refused(folder, server, script, tmp_path):
    ca = (folder / "ca.crt").read_bytes()
    assert refused(server, ca)  # no certificate, though ssl.config says client_verify
    assert refused(server, ca, *pair(folder), "somewhere.else.com")
    assert run(script, tmp_path / "other").returncode == 0
    assert refused(server, ca, *pair(tmp_path / "other"))  # of another authority
    assert refused(server, (tmp_path / "other" / "ca.crt").read_bytes(), *pair(folder))


def test_certificates_say_what_they_are_for(folder, config):
    certificates = {
        name: x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
        for name in ("ca", "server", "client")
    }
    names = certificates["server"].extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert {"localhost", "frames.example.com", "tf-serving.default.svc.cluster.local"} <= set(
        names.value.get_values_for_type(x509.DNSName)
    )
    assert {ipaddress.ip_address(a) for a in ("127.0.0.1", "::1", "10.1.2.3")} == set(
        names.value.get_values_for_type(x509.IPAddress)
    )
    for name, oid in (("server", "SERVER_AUTH"), ("client", "CLIENT_AUTH")):
        usage = certificates[name].extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert list(usage.value) == [getattr(x509.ExtendedKeyUsageOID, oid)]
    for name, certificate in certificates.items():
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical and constraints.value.ca == (name == "ca")
        certificate.verify_directly_issued_by(certificates["ca"])
        assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 7
    assert config.server_cert == (folder / "server.crt").read_text()
    assert config.server_key == (folder / "server.key").read_text()


def test_keys_are_for_their_owner_only_and_nothing_else_lies_about(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "ca.crt",
        "ca.key",
        "client.crt",
        "client.key",
        "server.crt",
        "server.key",
        "ssl.config",
    ]
    for name in ("ca.key", "server.key", "client.key", "ssl.config"):
        assert (folder / name).stat().st_mode & 0o077 == 0
    assert list(folder.parent.iterdir()) == [folder]


def test_nothing_is_overwritten(script, folder):
    before = (folder / "ca.crt").read_bytes()
    done = run(script, folder)
    assert done.returncode == 1 and "nothing is overwritten" in done.stderr
    assert (folder / "ca.crt").read_bytes() == before


def test_bad_arguments_are_named_and_leave_nothing(script, tmp_path):
    done = run(script)
    assert done.returncode == 2 and "FOLDER" in done.stderr
    done = run(script, tmp_path / "new", "white space")
    assert done.returncode == 2 and "'white space' is no host name" in done.stderr
    done = run(script, tmp_path / "new", DAYS="soon")
    assert done.returncode == 2 and "DAYS: got 'soon'" in done.stderr
    done = run(script, tmp_path / "new", "999.1.1.1")  # openssl refuses it, half way
    assert done.returncode != 0 and "999.1.1.1" in done.stderr
    assert list(tmp_path.iterdir()) == []
