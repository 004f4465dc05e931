"""Whom a model was trained on: its run's people, and those of whatever that run began with.

    run/people.json    {"seen": [identity, ...], "complete": whether that is everybody}

By name: two datasets that call different people alike look as if they shared one.
"""

import dataclasses
import json
import pathlib
from collections.abc import Collection

from tf_talking import files
from tf_talking.networks.bundle import SUFFIX, read_bundle_facts
from training.runs.folder import read_run_facts

_FILE = "people.json"


@dataclasses.dataclass(frozen=True)
class SeenPeople:
    """Identities, and whether nobody else was seen."""

    names: frozenset[str] = frozenset()
    complete: bool = False

    def __or__(self, other: "SeenPeople") -> "SeenPeople":
        return SeenPeople(self.names | other.names, self.complete and other.complete)

    def kept_out(self, identities: Collection[str]) -> bool | None:
        """Whether a model that saw these people saw none of `identities`; None: not known."""
        if self.names & set(identities):
            return False
        return True if self.complete else None

    def facts(self) -> dict:
        """As run folders and bundles hold it."""
        return {"seen": sorted(self.names), "complete": self.complete}


def read_training_facts(checkpoint: str) -> dict:
    """run.json of a checkpoint's run, or what a bundle tells; empty where nothing is known."""
    return read_bundle_facts(checkpoint) if checkpoint.endswith(SUFFIX) else read_run_facts(checkpoint)


def read_seen_people(checkpoint: str) -> SeenPeople:
    """Of a checkpoint's prefix or a bundle. Nobody, and not complete, where it does not tell."""
    if checkpoint.endswith(SUFFIX):
        return _parsed(read_bundle_facts(checkpoint).get("people", {}))
    return read_people_file(pathlib.Path(checkpoint).parent.parent)


def read_people_file(run: pathlib.Path) -> SeenPeople:
    """Of a run folder."""
    path = run / _FILE
    return _parsed(json.loads(path.read_text()) if path.is_file() else {})


def write_people_file(run: pathlib.Path, people: SeenPeople) -> None:
    """Into a run folder."""
    files.write_whole(run / _FILE, json.dumps(people.facts()) + "\n")


def _parsed(facts: dict) -> SeenPeople:
    return SeenPeople(frozenset(facts.get("seen", [])), facts.get("complete", False))
