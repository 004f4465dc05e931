"""Commands run within the process of the tests: without the seconds that TensorFlow takes to start.

For what a command does and says; how its process starts and ends is tested by `run_command`.
"""

import contextlib
import importlib
import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from unittest import mock

from absl import flags

from tf_talking import program


@contextlib.contextmanager
def apart_flags() -> Iterator[flags.FlagValues]:
    """What is defined in the block is gone behind it: commands have flags of the same names."""
    values = flags.FLAGS
    before, parsed = set(values), values.is_parsed()
    try:
        yield values
    finally:
        for name in set(values) - before:
            delattr(values, name)
        if not parsed:
            values.unparse_flags()


def run_here(module: str, *arguments) -> subprocess.CompletedProcess:
    """As `python -m module`: exit code, stdout, and stderr with the log from INFO on."""
    command, log = importlib.import_module(module), logging.getLogger("absl")
    output, errors = io.StringIO(), io.StringIO()
    handler, level = logging.StreamHandler(errors), log.level

    def run(guarded, flags_parser):
        sys.exit(guarded(flags_parser([module, *map(str, arguments)])))

    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        with (
            apart_flags(),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
            mock.patch.object(program.app, "run", run),
        ):
            program.run(command.main, command.define_flags)
    except SystemExit as end:
        return subprocess.CompletedProcess([module, *arguments], end.code, output.getvalue(), errors.getvalue())
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    raise AssertionError("a command ends by SystemExit")
