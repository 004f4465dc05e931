"""Which inputs are to be done, given what earlier runs into the same folder did.

An input is done where the folder has a line of its name for the same bytes. Where the bytes are
others, its own files have changed and it is done again, or it is another input of the same name and
gets a name of its own. What was rejected is tried again as soon as its files are others.
"""

import collections
import dataclasses
import os
from collections.abc import Iterable

from tqdm import tqdm

from tf_talking.dataset.folder import ACCEPTED, ManifestEntry, standing
from tf_talking.extraction import content
from tf_talking.extraction.item import InputItem

_SHOWN = 5


@dataclasses.dataclass
class Plan:
    """What is to be done, and what there is to say about the rest.

    Attributes:
      todo: inputs to do; their video_id is the one to write them under.
      done: how many inputs earlier runs did.
      assumed: how many of these were done by a version that did not note their bytes.
      changed: video_ids of records that are done again, since their files changed.
      renamed: (video_id, own video_id) of inputs whose name another input has.
      corrected: video_ids of records that are done again, since they now show somebody else.
      stale: video_ids of records whose files make other inputs now, by a table or a flag.
    """

    todo: list[InputItem] = dataclasses.field(default_factory=list)
    done: int = 0
    assumed: int = 0
    changed: list[str] = dataclasses.field(default_factory=list)
    renamed: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    corrected: list[str] = dataclasses.field(default_factory=list)
    stale: list[str] = dataclasses.field(default_factory=list)

    def notes(self) -> list[str]:
        """A line for each thing that a person should know."""
        lines = []
        if self.assumed:
            lines.append(
                f"{self.assumed} inputs done by earlier runs are taken as unchanged: the version that did "
                "them did not note their content"
            )
        if self.changed:
            lines.append(f"{_count(self.changed, 'input')} changed since an earlier run and done again: ")
            lines[-1] += _some(self.changed)
        if self.corrected:
            lines.append(f"{_count(self.corrected, 'input')} now of another person and done again: ")
            lines[-1] += _some(self.corrected)
        if self.renamed:
            lines.append(f"{_count(self.renamed, 'input')} of a name that the folder has already: ")
            lines[-1] += _some([f"{name} is kept as {own!r}" for name, own in self.renamed])
        if self.stale:
            lines.append(f"{_count(self.stale, 'record')} of files that make other inputs now, kept beside these: ")
            lines[-1] += f"{_some(self.stale)}; in a new folder they would not be"
        return lines


def _count(things: list, name: str) -> str:
    return f"{len(things)} {name}{'s' if len(things) > 1 else ''}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def what_to_do(items: Iterable[InputItem], lines: Iterable[ManifestEntry], try_again: bool = False) -> Plan:
    """Compares inputs with the lines of the folder's manifest.

    Args:
      items: all inputs of this run.
      lines: of the manifest.
      try_again: inputs that were rejected are to be done though their files are as they were.
    """
    items, plan = list(items), Plan()
    names: dict[str, list[ManifestEntry]] = collections.defaultdict(list)
    for line in standing(lines):
        names[line.video_id].append(line)
    taken = names.keys() | {item.video_id for item in items}
    known = [item for item in items if item.video_id in names]
    plan.todo += [item for item in items if item.video_id not in names]
    used: set[str] = set()
    for item in tqdm(known, unit="input", desc="preprocess: compare", leave=False, disable=None):
        found = _lines_of(item.video_id, names)
        same = _same(item, found)
        used.update(line.video_id for line in found if line.source == item.source)
        used.add(same.video_id if same else item.video_id)
        if same is None:
            _choose_name(item, found, taken, plan)
        elif try_again and same.status != ACCEPTED:
            plan.todo.append(_called(item, same.video_id))
        elif _corrected(item, same):
            plan.corrected.append(same.video_id)
            plan.todo.append(_called(item, same.video_id))
        else:
            plan.done += 1
            plan.assumed += same.content is None
    plan.stale = _stale(items, [lines[-1] for name, lines in names.items() if name not in used])
    return plan


def _stale(items: list[InputItem], others: list[ManifestEntry]) -> list[str]:
    """Records, of those that are no input of this run, whose files belong to one."""
    files = {file for item in items for file in item.files}
    folders = {os.path.dirname(file) for item in items if item.kind in ("photos", "frames") for file in item.files}
    return [
        entry.video_id
        for entry in others
        if entry.status == ACCEPTED and os.path.abspath(entry.source) in files | folders
    ]


def _own_name(video_id: str, number: int) -> str:
    """Name of the first, second, ... input of a name."""
    return video_id if number == 1 else f"{video_id} ({number})"


def _called(item: InputItem, name: str) -> InputItem:
    """The input under that name; one that nothing says who it shows is a person of its own."""
    identity = name if item.identity == item.video_id else item.identity
    return dataclasses.replace(item, video_id=name, identity=identity)


def _lines_of(video_id: str, names: dict[str, list[ManifestEntry]]) -> list[ManifestEntry]:
    found, number = [], 1
    while _own_name(video_id, number) in names:
        found += names[_own_name(video_id, number)]
        number += 1
    return found


def _same(item: InputItem, found: list[ManifestEntry]) -> ManifestEntry | None:
    """The last line of these bytes, which are read only where the stamp can not tell."""
    stamp, noted = content.stamp(item), [line for line in reversed(found) if line.content]
    for line in noted:
        if line.source == item.source and line.content.stamp == stamp:
            return line
    digest = content.digest(item) if noted else ""
    for line in noted:
        if line.content.digest == digest:
            return line
    # An older version did not note the bytes: what it rejected is tried again.
    return next((line for line in reversed(found) if line.content is None and line.status == ACCEPTED), None)


def _corrected(item: InputItem, same: ManifestEntry) -> bool:
    """Whether this run says who the input shows, and its record says somebody else."""
    said = item.identity != item.video_id
    return said and same.status == ACCEPTED and same.content is not None and same.identity != item.identity


def _choose_name(item: InputItem, found: list[ManifestEntry], taken: set[str], plan: Plan) -> None:
    """Under which name bytes that the folder does not know are written."""
    accepted = {line.video_id for line in found if line.status == ACCEPTED}
    names = [line.video_id for line in found if line.source == item.source]
    names += [line.video_id for line in found if line.video_id not in accepted]
    if names:
        name = names[0]
        plan.changed.append(name)
    else:
        number = 2
        while (name := _own_name(item.video_id, number)) in taken:
            number += 1
        taken.add(name)
        plan.renamed.append((item.source, name))
    plan.todo.append(_called(item, name))
