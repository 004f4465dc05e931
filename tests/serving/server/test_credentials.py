"""Certificates that are renewed while the server runs: real handshakes."""

import concurrent.futures
import os
import pathlib
import ssl

import grpc
import pytest
from absl import logging
from cryptography.hazmat.primitives import serialization

from serving.server.credentials import Certificates
from serving.server.errors import ServingError
from tests.serving.api_requests import status_request
from tests.serving.certificates import make_identities


def escaped(pem: bytes) -> str:
    return pem.decode().replace("\n", "\\n")


def inline(server, authority=None) -> str:
    """An SSLConfig as TensorFlow Serving has it; clients must show certificates of `authority`."""
    text = f'server_key: "{escaped(server.key)}" server_cert: "{escaped(server.certificate)}" '
    return text + (f'custom_ca: "{escaped(authority.certificate)}" client_verify: true' if authority else "")


def replace(path: pathlib.Path, text: str) -> None:
    whole = path.with_name("whole")
    whole.write_text(text)
    whole.rename(path)


def seen(target: str) -> bytes:
    """The certificate that a new connection is shown."""
    host, port = target.rsplit(":", 1)
    return ssl.get_server_certificate((host, int(port))).encode()


def test_the_server_shows_a_renewed_certificate_and_keeps_the_old_one_when_that_is_broken(
    tmp_path, toy_models, start_server
):
    (authority, first, _), (_, second, _), (_, third, _) = (make_identities() for _ in range(3))
    path = tmp_path / "ssl.config"
    path.write_text(inline(first))
    server = start_server(toy_models / "models.config", f"--ssl_config_file={path}")
    credentials = grpc.ssl_channel_credentials(authority.certificate)
    with grpc.secure_channel(server.target, credentials) as channel:
        status = channel.unary_unary(
            "/tensorflow.serving.ModelService/GetModelStatus", lambda message: message.SerializeToString()
        )
        assert status(status_request(), timeout=60)
        assert seen(server.target) == first.certificate
        replace(path, inline(second))
        assert seen(server.target) == second.certificate
        assert status(status_request(), timeout=60)  # who is connected stays so
        logged = len(server.log)
        for broken in ("nonsense", inline(third).replace(escaped(third.key), escaped(first.key))):
            replace(path, broken)
            assert seen(server.target) == second.certificate
        assert seen(server.target) == second.certificate
        replace(path, inline(third))
        assert seen(server.target) == third.certificate
    server.terminate()
    errors = [line for line in server.log[logged:] if "The old certificate stays" in line]
    assert len(errors) == 1 and f"{path}: no SSLConfig" in errors[0]  # said once, not at every handshake


@pytest.fixture
def listen():
    """listen(certificates) -> port of a server that answers requests with themselves."""
    servers = []

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request)

    def listen(certificates):
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
        server.add_generic_rpc_handlers((Echo(),))
        port = server.add_secure_port("127.0.0.1:0", certificates.credentials())
        server.start()
        servers.append(server)
        return port

    yield listen
    for server in servers:
        server.stop(None)


def answers(port, authority, client) -> bool:
    credentials = grpc.ssl_channel_credentials(authority.certificate, client.key, client.certificate)
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        try:
            return channel.unary_unary("/any/Method")(b"frame", timeout=10) == b"frame"
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            return False


def write_secret(folder: pathlib.Path, name: str, authority, server) -> None:
    """As Kubernetes updates a secret's volume: a new folder, and a link that is moved to it."""
    (folder / name).mkdir()
    for file, pem in (("ca.crt", authority.certificate), ("tls.crt", server.certificate), ("tls.key", server.key)):
        (folder / name / file).write_bytes(pem)
        if not (folder / file).is_symlink():
            (folder / file).symlink_to(f"..data/{file}")
    (folder / "new").symlink_to(name)
    (folder / "new").rename(folder / "..data")


def test_files_that_the_config_names_are_followed_with_the_clients_authority(tmp_path, listen):
    old, new = make_identities(), make_identities()
    write_secret(tmp_path, "1", *old[:2])
    path = tmp_path / "ssl.config"
    path.write_text(
        f'server_key: "{tmp_path}/tls.key" server_cert: "{tmp_path}/tls.crt" '
        f'custom_ca: "{tmp_path}/ca.crt" client_verify: true'
    )
    port = listen(Certificates(path))
    assert answers(port, old[0], old[2]) and not answers(port, new[0], new[2])
    write_secret(tmp_path, "2", *new[:2])
    assert answers(port, new[0], new[2]) and not answers(port, old[0], old[2])
    os.rename(tmp_path / "2", tmp_path / "away")  # between two states: the files are not there
    assert answers(port, new[0], new[2])
    write_secret(tmp_path, "3", *old[:2])
    assert answers(port, old[0], old[2])


def test_who_must_show_a_certificate_does_not_change_without_a_restart(tmp_path, listen, monkeypatch):
    errors = []
    monkeypatch.setattr(logging, "log_every_n_seconds", lambda level, text, seconds, error: errors.append(str(error)))
    authority, server, client = make_identities()
    path = tmp_path / "ssl.config"
    path.write_text(inline(server, authority))
    port = listen(Certificates(path))
    replace(path, inline(server))
    assert not answers(port, authority, make_identities()[2])
    assert answers(port, authority, client)
    assert errors and all("client_verify: has changed, which needs a restart" in error for error in errors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda key, cert, ca: (make_identities()[1].key, cert, ca), "server_key and server_cert can not be used"),
        (lambda key, cert, ca: (key, b"-----BEGIN nothing", ca), "server_key and server_cert can not be used"),
        (lambda key, cert, ca: (b"server.key", cert, ca), "server_key: expected a PEM text, or the absolute name"),
        (lambda key, cert, ca: (b"/nowhere/server.key", cert, ca), "server_key: /nowhere/server.key: No such file"),
        (lambda key, cert, ca: (key, cert, b"-----BEGIN nothing"), "custom_ca can not be used"),
        (lambda key, cert, ca: (key, cert, b""), "custom_ca: expected a PEM text"),
        (lambda key, cert, ca: (locked(key), cert, ca), "the key has a password"),
    ],
)
def test_errors_name_file_and_field(tmp_path, change, message):
    authority, server, _ = make_identities()
    key, certificate, ca = (escaped(pem) for pem in change(server.key, server.certificate, authority.certificate))
    path = tmp_path / "ssl.config"
    path.write_text(f'server_key: "{key}" server_cert: "{certificate}" custom_ca: "{ca}" client_verify: true')
    with pytest.raises(ServingError, match=f"ssl.config: .*{message}"):
        Certificates(path)


def locked(key: bytes) -> bytes:
    private = serialization.load_pem_private_key(key, None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
