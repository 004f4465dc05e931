"""The person cards of a folder, looked up by name: `people/` of a serving folder.

registry = PersonRegistry("serving_models/people")
card = registry.load("ann")     # people/ann.npz
"""

import difflib
import os
import pathlib

from tf_talking.people.card import PersonCard
from tf_talking.people.names import check_name

_SUFFIX = ".npz"


class PersonRegistry:
    """Cards by name; only the card that is asked for is read.

    Args:
      folder: holds NAME.npz of each person.

    Raises:
      FileNotFoundError: there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = pathlib.Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"registry of people {folder}: no such folder")

    def path(self, name: str) -> pathlib.Path:
        """Where the card of `name` lies or would lie. Raises ValueError if it can be no name."""
        return self.folder / f"{check_name(name)}{_SUFFIX}"

    def names(self) -> list[str]:
        """Everybody in the folder, sorted. Reads the folder, no card."""
        with os.scandir(self.folder) as entries:
            found = [entry.name for entry in entries]
        return sorted(
            name.removesuffix(_SUFFIX)
            for name in found
            if name.endswith(_SUFFIX) and not name.startswith(".")  # cards being written
        )

    def __contains__(self, name: str) -> bool:
        try:
            return self.path(name).is_file()
        except ValueError:
            return False

    def load(self, name: str) -> PersonCard:
        """The card of a person.

        Raises:
          FileNotFoundError: nobody of that name; the message has the folder and similar names.
          ValueError: no name, or a file that is no card.
        """
        path = self.path(name)
        if path.is_file():
            return PersonCard.load(path)
        names = self.names()
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise FileNotFoundError(f"no person {name!r} among the {len(names)} in {self.folder}{hint}")
