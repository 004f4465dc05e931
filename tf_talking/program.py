"""How every command starts and ends.

    def define_flags() -> None:
        flags.DEFINE_string("dataset", None, "Dataset folder.", required=True)

    def main(argv: list[str]):
        return do(...)  # None, an exit code, or the result

    if __name__ == "__main__":
        program.run(main, define_flags)

A result goes to stdout as the last line: a dict as JSON, anything else as its text. What a person
got wrong (flags, a file that is missing or no good) is one line on stderr that names it; its
traceback is shown with --verbosity=1. Exit codes: 0 done; 2 bad input; 130 interrupted; others are
`exit_code` of an exception or what `main` returns. Imports no TensorFlow.
"""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from tf_talking import interrupts
from tf_talking.files import json_line

FLAGS = flags.FLAGS
# What rooms raise where the input or the world is not as it must be; messages name what.
BAD_INPUT = (app.UsageError, ValueError, OSError, RuntimeError)


def run(
    main: Callable[[list[str]], object], define_flags: Callable[[], None] | None = None, arguments: bool = False
) -> NoReturn:
    """Parses the command line, calls `main` and ends the process.

    Args:
      main: the command. Gets the program's name and, with `arguments`, what is no flag.
      define_flags: defines the command's flags, those of rooms and shared groups too; --help lists
        them all.
      arguments: whether there may be arguments that are no flags.
    """
    before = set(FLAGS)
    if define_flags is not None:
        define_flags()
    for name in set(FLAGS) - before:  # wherever it was defined, it is this command's
        FLAGS.register_key_flag_for_module(sys.argv[0], FLAGS[name])

    def guarded(argv: list[str]) -> int:
        interrupts.main_begins()
        try:
            if len(argv) > 1 and not arguments:
                raise app.UsageError(f"unknown argument {argv[1]!r}")
            return _finish(main(argv))
        except KeyboardInterrupt:
            return fail("interrupted", interrupts.EXIT_CODE)
        except BAD_INPUT as error:
            logging.debug("%s", error, exc_info=True)
            return fail(error, getattr(error, "exit_code", 2))

    app.run(guarded, flags_parser=_parse)


def fail(message: object, code: int = 2) -> int:
    """Says on stderr why the command ends; returns `code`."""
    print(f"{_name()}: {message}", file=sys.stderr, flush=True)
    return code


def _finish(result: object) -> int:
    if result is None or isinstance(result, int):
        return int(result or 0)
    print(json_line(result) if isinstance(result, dict) else result, flush=True)
    return 0


def _parse(argv: list[str]) -> list[str]:
    try:
        return FLAGS(argv)
    except flags.Error as error:
        sys.exit(fail(f"{error} (--help lists the flags)"))


def _name() -> str:
    """training.finetune, as it was typed after `python -m`."""
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec else os.path.basename(sys.argv[0])
