"""Who is on which file, from a CSV file. No TensorFlow."""

import csv
import os
import pathlib
from collections.abc import Iterable


class Identities:
    """Who is on which file, from a CSV file with the columns `file` and `identity`.

    A row fits a file whose path ends with the row's, or where the row's path ends with the file's
    path relative to the input. Of several, the one with the longest common tail counts.
    """

    def __init__(self, rows: Iterable[tuple[str, str]] = ()):
        self._by_name: dict[str, dict[tuple[str, ...], str]] = {}
        for file, identity in rows:
            parts = pathlib.PurePosixPath(file).parts
            known = self._by_name.setdefault(parts[-1], {})
            if known.setdefault(parts, identity) != identity:
                raise ValueError(f"{file!r} has two identities: {known[parts]!r} and {identity!r}")

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Identities":
        """Raises ValueError, naming file and line, where a column or a value is missing."""
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"file", "identity"} - set(reader.fieldnames or ())
            if missing:
                raise ValueError(f"{path}: no column {', '.join(sorted(missing))}; it has {reader.fieldnames}")
            rows = []
            for row in reader:
                name, identity = (row["file"] or "").strip(), (row["identity"] or "").strip()
                if not pathlib.PurePosixPath(name).parts or not identity:
                    raise ValueError(f"{path}, line {reader.line_num}: empty file or identity")
                rows.append((name, identity))
        try:
            return cls(rows)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def find(self, root: pathlib.Path, path: pathlib.Path) -> str | None:
        """Identity of a file or folder below `root`, None if the CSV does not name it.

        Raises:
          ValueError: rows with different identities fit equally well.
        """
        own = path.absolute().parts
        below = len(path.relative_to(root).parts)
        best, found = 0, set()
        for parts, identity in self._by_name.get(path.name, {}).items():
            common = _common_tail(own, parts)
            if common < min(len(parts), below) or common < best:
                continue
            if common > best:
                best, found = common, set()
            found.add(identity)
        if len(found) > 1:
            raise ValueError(f"{path}: several identities fit: {sorted(found)}")
        return found.pop() if found else None


def _common_tail(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    count = 0
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y:
            break
        count += 1
    return count
