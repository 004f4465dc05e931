"""Connections of the clients: one or several servers, TLS, retries.

    HOST:PORT                  one server; a name with several addresses is balanced over all
    HOST:PORT,HOST:PORT        several servers; names are looked up once
    dns:///SERVICE:PORT        a headless service; looked up again when a connection is lost
    ipv4:..., unix:..., ...    any other gRPC target

Balancing (round robin over the servers that answer) and retries (exponential backoff with jitter,
on UNAVAILABLE only, inside the call's deadline) are gRPC's own, set by its service config. While
calls are under way a silent connection is pinged, and given up after eight seconds.
"""

import dataclasses
import ipaddress
import json
import pathlib
import re
import socket

import grpc

# A path that went dead without a word (a laptop that changed networks, a box between that forgot
# the connection) would hold a stream until its deadlines. No more than two pings follow each other
# without data, gRPC's default: a server that is not told to allow pings minds the third.
KEEPALIVE_SECONDS, KEEPALIVE_TIMEOUT_SECONDS = 5, 3
MAX_RETRIES = 4  # gRPC allows five attempts
_SCHEME = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds|google-c2p):")  # as gRPC has


@dataclasses.dataclass(frozen=True)
class TlsOptions:
    """How to reach a server with TLS.

    Attributes:
      ca: file with the root certificates (PEM); None: those of the system, as gRPC finds them.
      cert, key: the client's own certificate chain and key (PEM), where the server wants one.
      server_name: the name that the server's certificate must hold, where it is another one than
        in the target. With several targets: for all of them; by default the first one's host.

    Raises:
      ValueError: one of `cert` and `key` without the other.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None

    def __post_init__(self):
        if (self.cert is None) != (self.key is None):
            raise ValueError(f"TLS: got cert {self.cert} and key {self.key}, expected both or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. Raises ValueError naming the one that is missing or no PEM file."""
        return grpc.ssl_channel_credentials(
            root_certificates=_pem(self.ca, "root certificates"),
            private_key=_pem(self.key, "client key"),
            certificate_chain=_pem(self.cert, "client certificate"),
        )


@dataclasses.dataclass(frozen=True)
class Connection:
    """What a channel is opened with; see `connection`."""

    target: str
    options: tuple[tuple[str, object], ...]
    credentials: grpc.ChannelCredentials | None

    def open(self) -> grpc.Channel:
        """A channel for threads."""
        if self.credentials is None:
            return grpc.insecure_channel(self.target, self.options)
        return grpc.secure_channel(self.target, self.credentials, self.options)

    def open_async(self) -> grpc.aio.Channel:
        """A channel for asyncio."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.target, self.options)
        return grpc.aio.secure_channel(self.target, self.credentials, self.options)


def connection(
    server: str, tls: TlsOptions | None = None, retries: int = MAX_RETRIES, max_message_bytes: int = 256 * 2**20
) -> Connection:
    """Connection to a server or to several.

    Args:
      server: see the top of this file.
      tls: None for plain text.
      retries: further attempts at a call that failed with UNAVAILABLE, 0 to 4.
      max_message_bytes: largest message in either direction. (gRPC's own limit is 4 MB.)

    Raises:
      ValueError: names the target, file or number that is wrong.
    """
    if not 0 <= retries <= MAX_RETRIES:
        raise ValueError(f"retries: got {retries}, expected 0 to {MAX_RETRIES}")
    options = [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        # Where it is exceeded a call is not retried; gRPC's 256 kB is less than two photos.
        ("grpc.per_rpc_retry_buffer_size", max_message_bytes),
        ("grpc.service_config", _service_config(retries)),
        ("grpc.keepalive_time_ms", round(1000 * KEEPALIVE_SECONDS)),
        ("grpc.keepalive_timeout_ms", round(1000 * KEEPALIVE_TIMEOUT_SECONDS)),
        # Of the pings by which gRPC measures the path, too: with one out, no other is sent.
        ("grpc.http2.ping_timeout_ms", round(1000 * KEEPALIVE_TIMEOUT_SECONDS)),
        ("grpc.http2.max_pings_without_data", 2),
    ]
    hosts = _hosts(server)
    target = _address_list(hosts) if len(hosts) > 1 else server
    if tls is None:
        return Connection(target, tuple(options), None)
    # The authority of an address list is the whole list, which no certificate holds.
    name = tls.server_name or (hosts[0][0] if len(hosts) > 1 else None)
    if name is not None:
        options.append(("grpc.ssl_target_name_override", name))
    return Connection(target, tuple(options), tls.credentials())


def _service_config(retries: int) -> str:
    config = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retries:
        policy = {
            "maxAttempts": retries + 1,
            "initialBackoff": "0.1s",
            "maxBackoff": "2s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config["methodConfig"] = [{"name": [{}], "retryPolicy": policy}]
        # After some 50 failures in a row calls fail at once, until some succeed: a broken
        # server is not buried under retries.
        config["retryThrottling"] = {"maxTokens": 100, "tokenRatio": 0.1}
    return json.dumps(config)


def _hosts(server: str) -> list[tuple[str, int]]:
    """(host, port) of each server; empty for a target with a scheme."""
    if _SCHEME.match(server):
        return []
    hosts = []
    for part in server.split(","):
        host, _, port = part.strip().rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"server {server!r}: got {part!r}, expected HOST:PORT")
        hosts.append((host, int(port)))
    return hosts


def _address_list(hosts: list[tuple[str, int]]) -> str:
    """gRPC's `ipv4:` or `ipv6:` target; one list can not hold both kinds."""
    found = [(host, port, _addresses(host)) for host, port in hosts]
    for version in (4, 6):
        listed = [
            (address, port) for _, port, addresses in found for address in addresses if address.version == version
        ]
        if all(any(a.version == version for a in addresses) for _, _, addresses in found):
            texts = [f"{a}:{port}" if version == 4 else f"[{a}]:{port}" for a, port in listed]
            return f"ipv{version}:{','.join(texts)}"
    names = ", ".join(host for host, _, _ in found)
    raise ValueError(f"servers {names}: some have IPv4 and others IPv6 addresses only")


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"server {host!r}: no address found ({error})") from error
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in entries))


def _pem(path: str | None, what: str) -> bytes | None:
    if path is None:
        return None
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"TLS, {what} {path}: {error.strerror}") from error
    if b"-----BEGIN" not in data:
        raise ValueError(f"TLS, {what} {path}: no PEM file")
    return data
