"""The person cards of a folder, looked up by name: `people/` of a serving folder.

    registry = PersonRegistry("serving_models/people")
    card = registry.load("ann")     # people/ann.npz

Only the card that is asked for is read. It is kept, and read again when its file has changed.
"""

import collections
import difflib
import os
import pathlib
import threading

from tf_talking.people.card import PersonCard
from tf_talking.people.names import check_name

_SUFFIX = ".npz"


class PersonRegistry:
    """Cards by name. Safe to share between threads.

    Args:
      folder: holds NAME.npz of each person.
      max_cards: cards kept in memory; the ones not asked for the longest go first. (A card of
        the paper's size is 55 kB.)

    Raises:
      FileNotFoundError: there is no such folder.
      ValueError: `max_cards` below 1.
    """

    def __init__(self, folder: str | os.PathLike, max_cards: int = 1000):
        if max_cards < 1:
            raise ValueError(f"max_cards: got {max_cards}, expected at least 1")
        self.folder = pathlib.Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"registry of people {folder}: no such folder")
        self._max_cards = max_cards
        self._cards: collections.OrderedDict[str, tuple[tuple, PersonCard]] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

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
        try:
            state = _state(path)
        except FileNotFoundError:
            raise FileNotFoundError(self._unknown(name)) from None
        with self._lock:
            kept = self._cards.get(name)
            if kept is not None and kept[0] == state:
                self._cards.move_to_end(name)
                return kept[1]
        # Read without the lock. Should the file be replaced just now, `state` is the old one's
        # and the next call reads it again.
        card = PersonCard.load(path)
        with self._lock:
            self._cards[name] = (state, card)
            self._cards.move_to_end(name)
            while len(self._cards) > self._max_cards:
                self._cards.popitem(last=False)
        return card

    def _unknown(self, name: str) -> str:
        names = self.names()
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        return f"no person {name!r} among the {len(names)} in {self.folder}{hint}"


def _state(path: pathlib.Path) -> tuple:
    """Changes when the file does: cards are replaced by another file, in one go."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
