"""TLS of the embedded server, from TensorFlow Serving's --ssl_config_file, renewed while it runs.

Certificates do not live as long as servers. So the files are looked at before each handshake and
read again when one has changed: connections that there are go on, new ones get the new certificate.
What can not be used is logged, and the last good certificate stays.

TensorFlow Serving reads the file once and wants PEM texts in it. Here a field may also be the
absolute name of a file that holds one, as cert-manager writes them: `server_key: "/tls/tls.key"`.
"""

import dataclasses
import os
import ssl

import grpc
from absl import logging

from serving.server.config_protos import SSLConfig, read_text_proto
from serving.server.errors import ServingError, invalid_argument

_WARN_SECONDS = 30  # between messages about files that can not be used


@dataclasses.dataclass(frozen=True)
class _Identity:
    """PEM texts, and whether clients must show a certificate that `authority` signed."""

    key: bytes
    certificate: bytes
    authority: bytes | None
    client_verify: bool

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.authority)


class Certificates:
    """Key, certificate and clients' authority of an SSLConfig text proto, as its files have them.

    Raises:
      ServingError: a file can not be read, or a field does not fit; both are named.
    """

    def __init__(self, path: str | os.PathLike):
        self._path = path
        self._files: list[str | os.PathLike] = [path]
        self._current = self._read()
        self._seen: list | None = None  # how the files looked when they were read; None: not known

    def credentials(self) -> grpc.ServerCredentials:
        """For a server's port; later handshakes follow the files."""
        return grpc.dynamic_ssl_server_credentials(
            self._current.configuration(), self._renewed, self._current.client_verify
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """gRPC asks before each handshake; None: as before."""
        files, looks = list(self._files), [_look(file) for file in self._files]
        if looks == self._seen:
            return None
        self._seen = None
        try:
            new = self._read()
            if new.client_verify != self._current.client_verify:
                raise invalid_argument(f"{self._path}: client_verify: has changed, which needs a restart")
        except ServingError as error:
            logging.log_every_n_seconds(logging.ERROR, "The old certificate stays: %s", _WARN_SECONDS, error)
            return None
        if files == self._files:
            self._seen = looks  # from before they were read: what changes meanwhile is seen next time
        if new == self._current:
            return None
        self._current = new
        logging.info("New connections get the certificate that %s has now", self._path)
        return new.configuration()

    def _read(self) -> _Identity:
        config = read_text_proto(self._path, SSLConfig, "SSL config")
        self._files = [self._path]
        key, certificate = (self._pem(config, field) for field in ("server_key", "server_cert"))
        authority = self._pem(config, "custom_ca") if config.custom_ca or config.client_verify else None
        self._check(key, certificate, authority)
        return _Identity(key, certificate, authority, config.client_verify)

    def _pem(self, config, field: str) -> bytes:
        """The field's text, or that of the file that it names."""
        value = getattr(config, field).encode()
        if os.path.isabs(value):
            self._files.append(value)
            try:
                with open(value, "rb") as file:
                    value = file.read()
            except OSError as error:
                name = error.filename.decode(errors="replace")
                raise invalid_argument(f"{self._path}: {field}: {name}: {error.strerror}") from error
        if b"-----BEGIN" not in value:
            raise invalid_argument(f"{self._path}: {field}: expected a PEM text, or the absolute name of a file of one")
        return value

    def _check(self, key: bytes, certificate: bytes, authority: bytes | None) -> None:
        """gRPC would find out in the first handshake, and tell nobody which file it was."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with open(os.memfd_create("pair"), "wb") as pair:  # in memory: a key is for nobody's disk
            pair.write(key + b"\n" + certificate)
            pair.flush()
            try:
                context.load_cert_chain(f"/proc/self/fd/{pair.fileno()}", password=_no_password)
            except (ssl.SSLError, ValueError) as error:
                raise invalid_argument(f"{self._path}: server_key and server_cert can not be used: {error}") from error
        try:
            if authority:
                context.load_verify_locations(cadata=authority.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise invalid_argument(f"{self._path}: custom_ca can not be used: {error}") from error


def _look(file: str | os.PathLike) -> tuple | None:
    """What tells whether a name means another file, or the file has another content."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _no_password() -> str:
    """In place of a prompt in the terminal."""
    raise ValueError("the key has a password")


def read_credentials(path: str | os.PathLike | None) -> grpc.ServerCredentials | None:
    """TLS as an SSLConfig text proto asks for it; None without a file. Raises ServingError."""
    return Certificates(path).credentials() if path else None
