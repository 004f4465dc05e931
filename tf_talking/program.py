"""What programs that end with one result have in common: its line on stdout, or an exit code."""

import sys
from collections.abc import Callable

from absl import app, logging


def print_result(run: Callable[[], object], argv: list[str]) -> None:
    """Prints what `run` returns; bad input becomes a line of the log and exit code 2.

    Args:
      run: the program; raises ValueError, FileNotFoundError or RuntimeError with a message.
      argv: what absl leaves: the program's name, and nothing else.

    Raises:
      app.UsageError: there is something else.
    """
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    logging.set_verbosity(logging.INFO)
    try:
        print(run())
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        logging.error("%s", error)
        sys.exit(2)
