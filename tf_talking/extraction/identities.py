"""Who is on which file, from a CSV file. No TensorFlow."""

import os
import pathlib
import unicodedata
from collections.abc import Iterable

from tf_talking.extraction.tables import read_table


class Identities:
    """Who is on which file, from a CSV file with the columns `file` and `identity`.

    A row fits a file whose path ends with the row's, or where the row's path ends with the file's
    path relative to the input. Of several, the one with the longest common tail counts. Paths may
    be written with backslashes, and accents as a letter and its mark (as Macs do).
    """

    def __init__(self, rows: Iterable[tuple[str, str]] = ()):
        self._by_name: dict[str, dict[tuple[str, ...], str]] = {}
        self._unused: dict[tuple[str, ...], str] = {}  # parts -> as it was written
        for file, identity in rows:
            parts = _parts(file)
            known = self._by_name.setdefault(parts[-1], {})
            if known.setdefault(parts, identity) != identity:
                raise ValueError(f"{file!r} has two identities: {known[parts]!r} and {identity!r}")
            self._unused[parts] = file

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Identities":
        """Raises ValueError, naming file and line, where a column or a value is missing."""
        rows = []
        for number, (name, identity) in read_table(path, ("file", "identity")):
            if not name or not _parts(name) or not identity:
                raise ValueError(f"{path}, line {number}: empty file or identity")
            rows.append((name, identity))
        try:
            return cls(rows)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @property
    def unused(self) -> list[str]:
        """The files of rows that have fitted nothing that was looked for so far, in order."""
        return list(self._unused.values())

    def find(self, root: pathlib.Path, path: pathlib.Path) -> str | None:
        """Identity of a file or folder below `root`, None if the CSV does not name it.

        Raises:
          ValueError: rows with different identities fit equally well.
        """
        own = _parts(str(path.absolute()))
        below = len(_parts(str(path.relative_to(root))))
        best, found = 0, set()
        for parts, identity in self._by_name.get(own[-1], {}).items():
            common = _common_tail(own, parts)
            if common < min(len(parts), below):
                continue
            self._unused.pop(parts, None)
            if common < best:
                continue
            if common > best:
                best, found = common, set()
            found.add(identity)
        if len(found) > 1:
            raise ValueError(f"{path}: several identities fit: {sorted(found)}")
        return found.pop() if found else None


def _parts(file: str) -> tuple[str, ...]:
    # A file's own name may hold a backslash: rows and files are taken apart alike.
    return pathlib.PurePosixPath(unicodedata.normalize("NFC", file).replace("\\", "/")).parts


def _common_tail(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    count = 0
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y:
            break
        count += 1
    return count
