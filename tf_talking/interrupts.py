"""Ctrl-C ends a command, whatever Python code or library it meets.

KeyboardInterrupt alone does not: imports swallow it or turn it into other errors, and a client's
connection that is closed under way may wait for ever. Imports hardly anything.
"""

import os
import signal
import sys
import threading

from tf_talking import files

EXIT_CODE = 130
GRACE_SECONDS = 5.0  # that a command has to end in good order

_phase = ""  # "": not caught; "imports"; "main"


def catch() -> None:
    """Before the imports of a command: Ctrl-C ends the process at once, up to `main_begins`. Where
    it is ignored (nohup) it stays so."""
    global _phase
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        _phase = "imports"


def main_begins() -> None:
    """From now on, where it is caught, Ctrl-C raises KeyboardInterrupt, and GRACE_SECONDS later
    ends what is left of the process and removes the files that it is writing."""
    global _phase
    _phase = _phase and "main"


def _interrupt(number, frame) -> None:
    if _phase == "imports":
        _end()
    timer = threading.Timer(GRACE_SECONDS, _end)
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _end() -> None:
    files.remove_being_written()
    sys.stderr.write("interrupted\n")
    sys.stderr.flush()
    os._exit(EXIT_CODE)
