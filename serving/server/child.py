"""Starts the embedded server as a child process, for programs that bring their own server."""

import contextlib
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

_READY = re.compile(r"Running gRPC ModelServer at (\S+)")


@contextlib.contextmanager
def local_server(models_config: str | pathlib.Path, *arguments: str) -> Iterator[str]:
    """Yields HOST:PORT of a server on a free port; stops it in the end.

    Args:
      models_config: path of the models.config.
      *arguments: further flags of `serving.model_server`.

    Raises:
      RuntimeError: the server ended before it was ready.
    """
    with local_server_process(models_config, *arguments) as (target, _):
        yield target


@contextlib.contextmanager
def local_server_process(models_config: str | pathlib.Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """As `local_server`, with the process, for programs that watch it."""
    command = [
        sys.executable,
        "-m",
        "serving.model_server",
        f"--model_config_file={models_config}",
        "--port=0",
        *arguments,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield _wait_until_ready(process), process
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _wait_until_ready(process: subprocess.Popen) -> str:
    for line in process.stdout:
        if match := _READY.search(line):
            return match[1]
    raise RuntimeError(f"the server ended with exit code {process.wait()} before it was ready")
