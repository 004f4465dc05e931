"""Writing files and folders that appear under their names only when they are whole, one process at
a time; JSON lines; what a folder that is gone on with must agree on. Local paths; imports no
TensorFlow.

A file or folder is written beside its place under a hidden name of its own, brought to disk, then
renamed: a reader sees the old one or the whole new one, and so does who comes after a kill.
"""

import contextlib
import fcntl
import glob
import json
import math
import os
import pathlib
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator

_being_written: set[pathlib.Path] = set()  # by this process
_FRESH_SECONDS = 5.0  # a file so young may not be locked yet
_UNFINISHED = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.tmp(\..+)?")


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields the temporary path that the block has to write; it then becomes `path`.

    The temporary name ends as `path` does, since many writers go by that. Where the block fails,
    `path` is left as it was.
    """
    path = pathlib.Path(path)
    temporary = temporary_beside(path)
    _being_written.add(temporary)
    try:
        with open(temporary, "wb") as held:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(held, fcntl.LOCK_EX)  # so that others' `remove_abandoned` lets it be
            os.utime(temporary, (0, 0))
            yield temporary
            if temporary.stat().st_mtime_ns == 0:
                raise FileNotFoundError(f"{path}: nothing was written")
        to_disk(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        _being_written.discard(temporary)
    to_disk(path.parent)


def remove_abandoned(path: str | os.PathLike) -> None:
    """Removes what killed processes, on whatever machine, were writing to become `path`."""
    path = pathlib.Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.stem)}.*.tmp{glob.escape(path.suffix)}"):
        with contextlib.suppress(OSError):
            if _UNFINISHED.fullmatch(leftover.name) and time.time() - leftover.stat().st_mtime > _FRESH_SECONDS:
                with open(leftover, "rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not where somebody writes it
                    leftover.unlink()


def write_whole(path: str | os.PathLike, data: str | bytes) -> None:
    """Writes bytes, or text as UTF-8, so that `path` is either as it was or whole."""
    with whole_file(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields an empty folder that the block has to fill; it then becomes `path`.

    Where the block fails, nothing is left of it.

    Raises:
      FileExistsError: something that is not an empty folder has that name.
    """
    path = pathlib.Path(path)
    temporary = temporary_beside(path)
    temporary.mkdir()
    _being_written.add(temporary)
    try:
        yield temporary
        for file in temporary.rglob("*"):
            to_disk(file)
        to_disk(temporary)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FileExistsError(f"{path}: exists already")
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _being_written.discard(temporary)
    to_disk(path.parent)


def remove_being_written() -> None:
    """Removes what this process has begun and not finished, when it is about to be ended."""
    for temporary in list(_being_written):
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def readable(text: str) -> str:
    """A name of the file system as text that can be written down: bytes that are no UTF-8, as old
    archives leave them in names, become %XX."""
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in text)


def temporary_beside(path: pathlib.Path) -> pathlib.Path:
    """A hidden name in the same folder, so that a rename stays on one file system; never twice the
    same, whatever process on whatever machine asks."""
    own = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return path.with_name(f".{path.stem}.{own}.tmp{path.suffix}")


@contextlib.contextmanager
def only_one(path: str | os.PathLike, what: str) -> Iterator[None]:
    """Keeps other processes out of the same block: it holds the file `path`, which then goes away.

    The system lets go of what a killed process held. Where a file system has no locks, nobody is
    kept out.

    Args:
      path: the lock's file, hidden beside what is written.
      what: that is being done, for the error.

    Raises:
      RuntimeError: another process is in the block; says which.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = None
    while file is None:
        file = open(path, "a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                holder = file.read().strip() or "another process"
            raise RuntimeError(f"{what}: {holder} is at it already; wait for its end, or stop it") from None
        except OSError:
            break
        if not (path.exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(path))):
            file.close()  # whoever held it before has just removed it
            file = None
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def remove_unfinished(folder: str | os.PathLike) -> None:
    """Removes what killed processes were writing in `folder`; nobody may be writing there now."""
    for leftover in pathlib.Path(folder).glob(".*"):
        if _UNFINISHED.fullmatch(leftover.name):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def to_disk(path: pathlib.Path) -> None:
    """Makes a file's contents, or renames in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def json_line(row: dict) -> str:
    """`row` as one line of JSON without its end; numbers that are not finite, which JSON has not,
    become null."""
    return json.dumps(_finite(row), allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def append_json_line(path: str | os.PathLike, *rows: dict, sync: bool = False) -> None:
    """Appends rows to a file of JSON lines, new or begun.

    A last line that was cut (killed while writing) is removed first.

    Args:
      path: the file.
      rows: see `json_line`.
      sync: waits until they are on the disk.
    """
    lines = "".join(f"{json_line(row)}\n" for row in rows)
    with open(path, "ab+") as file:
        cut_unfinished_line(file)
        file.write(lines.encode())
        if sync:
            file.flush()
            os.fsync(file.fileno())


def cut_unfinished_line(file) -> None:
    """Truncates a binary file, open for reading and appending, to its whole lines."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        block = min(end, 65536)
        file.seek(end - block)
        newline = file.read(block).rfind(b"\n")
        if newline >= 0:
            file.truncate(end - block + newline + 1)
            return
        end -= block
    file.truncate(0)


def read_json_lines(path: str | os.PathLike) -> list[dict]:
    """The rows of a file of JSON lines; an unfinished last line does not count.

    Raises:
      ValueError: a line is no JSON object; names file and line.
    """
    return parse_json_lines(pathlib.Path(path).read_bytes(), os.fspath(path))


def parse_json_lines(data: bytes, where: str) -> list[dict]:
    """`read_json_lines` of what stands in a file named `where`."""
    *lines, _unfinished = data.split(b"\n")
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
            if not isinstance(rows[-1], dict):
                raise ValueError(f"got {rows[-1]!r}")
        except ValueError as error:  # UnicodeDecodeError and JSONDecodeError too
            raise ValueError(f"{where}, line {number}: no JSON object: {error}") from None
    return rows


def check_same(recorded: dict, now: dict, where: str | os.PathLike) -> None:
    """Compares what a folder records of how it was made with what a command would make now.

    Args:
      recorded: of the folder, read from JSON.
      now: the same facts of this command; a field that is missing is the same as None.
      where: the file that records them, for the error.

    Raises:
      ValueError: they differ; names the file and the field.
    """
    _check_same(recorded, json.loads(json.dumps(now)), os.fspath(where), "")


def _check_same(recorded: dict, now: dict, where: str, prefix: str) -> None:
    for field in sorted(set(recorded) | set(now)):
        old, new = recorded.get(field), now.get(field)
        if isinstance(old, dict) and isinstance(new, dict):
            _check_same(old, new, where, f"{prefix}{field}.")
        elif old != new:
            raise ValueError(
                f"{where}: {prefix}{field} is {old!r}, asked for is {new!r}; go on with the same "
                "settings or take another folder"
            )
