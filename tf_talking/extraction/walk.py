"""Searching folders, linked ones too, each of them once."""

import os
import pathlib
from collections.abc import Callable, Iterator


def walk(root: pathlib.Path, note: Callable[[str], None]) -> Iterator[tuple[pathlib.Path, list[str]]]:
    """Yields each folder at and below `root` with the names of its files; hidden ones do not count.

    Links to folders are followed after all else, so that a folder that is linked from beside itself
    goes by its own name, and links in a circle end.

    Args:
      root: a folder.
      note: gets a line for each folder that is left out.
    """
    seen: set[str] = set()
    waiting = [root]
    for start in waiting:  # grows
        if os.path.realpath(start) in seen:
            note(f"left out the link {start}: its folder {os.path.realpath(start)} is searched under another name")
            continue
        for folder, folders, names in os.walk(start, onerror=lambda error: note(f"left out {_said(error)}")):
            seen.add(os.path.realpath(folder))
            below = [pathlib.Path(folder, name) for name in sorted(folders) if name[0] != "."]
            waiting += [path for path in below if path.is_symlink()]
            unseen = [path for path in below if not path.is_symlink() and os.path.realpath(path) not in seen]
            folders[:] = [path.name for path in unseen]
            yield pathlib.Path(folder), sorted(name for name in names if name[0] != ".")


def _said(error: OSError) -> str:
    return f"the folder {error.filename}: {error.strerror}"
