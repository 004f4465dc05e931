"""Ports for servers that benchmarks and tests start."""

import contextlib
import itertools
import os
import socket

# Below those that the kernel hands out by itself, of which another program may get one between a
# look here and the start of a server; each process has its own part of them, and counts on.
_FIRST, _LAST = 10_000, 32_000
_numbers = itertools.count(os.getpid() * 97)


def free_port() -> int:
    """A TCP port of this machine that nobody listens at, never the same twice."""
    while True:
        port = _FIRST + next(_numbers) % (_LAST - _FIRST)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
