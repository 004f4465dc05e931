"""Adding records to a dataset folder.

The order of writing makes a kill harmless at any moment: a shard is written under a temporary name
and renamed, then its lines are appended to the manifest. A shard whose lines are missing (killed
in between) gives them back on the next run: each record holds all that its line says.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable

from tf_talking import files
from tf_talking.dataset import paths, records, shards
from tf_talking.dataset.folder import (
    ACCEPTED,
    INFO_FILE,
    MANIFEST_FILE,
    DatasetInfo,
    ManifestEntry,
    accepted_entry,
    manifest_lines,
    read_info,
    read_manifest,
    standing,
)


def lay_out(
    results: Iterable[records.VideoRecord | ManifestEntry], shard: str
) -> tuple[list[ManifestEntry], list[bytes]]:
    """(manifest entries of all results, serialized records) of a shard of that name."""
    entries, serialized, offset = [], [], 0
    for result in results:
        if isinstance(result, ManifestEntry):
            entries.append(result)
            continue
        entries.append(accepted_entry(result, shard, len(serialized), offset))
        serialized.append(records.serialize(result))
        offset += shards.framed_size(serialized[-1])
    return entries, serialized


def only_writer(path: str | os.PathLike) -> contextlib.AbstractContextManager[None]:
    """Keeps other processes from writing to the dataset folder in the meantime (`files.only_one`).

    Raises:
      RuntimeError: another process is writing to it.
      ValueError: the folder is not local.
    """
    _check_local(path)
    return files.only_one(pathlib.Path(path) / ".lock", f"dataset folder {path}")


def _check_local(path: str | os.PathLike) -> None:
    if paths.is_remote(path):
        raise ValueError(
            f"{path}: datasets are written to local folders only, where a rename is atomic; "
            "write to a local folder, then copy it"
        )


def _known_as(entry: ManifestEntry) -> tuple:
    """What an input is known by; by its name alone where nobody noted its content."""
    return (entry.video_id, entry.identity, entry.content) if entry.content else (entry.video_id,)


class DatasetWriter:
    """Adds shards to a dataset folder, new or begun earlier; one writer at a time.

    A record of other content, or of another person, than the one under its video_id replaces it:
    the old one stays in its shard, but is not read any more (see `folder.standing`).

    Opening repairs what a killed run left: an unfinished manifest line, temporary files, a shard
    that is not in the manifest. Inputs whose shard was deleted are forgotten, so that they are
    done again.

    Attributes:
      lines: all lines of the manifest so far (those of earlier runs included).
    """

    def __init__(
        self,
        path: str | os.PathLike,
        image_size: int,
        detector: str,
        scheme: str,
        num_points: int,
        borrowed_identity: str = "none",
    ):
        """Raises ValueError if the folder holds data of another size, detector or scheme."""
        _check_local(path)
        self.path = pathlib.Path(path)
        self.info = DatasetInfo(image_size, detector, scheme, num_points, borrowed_identity=borrowed_identity)
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / INFO_FILE).is_file():
            existing = dataclasses.asdict(read_info(self.path))
            files.check_same(existing, dataclasses.asdict(self.info), self.path / INFO_FILE)
        else:
            text = json.dumps(dataclasses.asdict(self.info), indent=1)
            files.write_whole(self.path / INFO_FILE, f"{text}\n")
        self.lines = read_manifest(self.path)
        self._accepted: dict[str, ManifestEntry] = {}
        self._known: set[tuple] = set()
        self._number: int | None = None  # of the next shard, or a smaller one
        self._repair()
        self._note(self.lines)

    @property
    def entries(self) -> list[ManifestEntry]:
        """The standing entries, see `folder.standing`."""
        return standing(self.lines)

    def holds(self, entry: ManifestEntry) -> bool:
        """Whether the manifest has a line of that input with that content."""
        return _known_as(entry) in self._known

    def _repair(self) -> None:
        files.remove_unfinished(self.path)
        self._forget_deleted_shards()
        listed = {(entry.shard, entry.position) for entry in self.lines}
        for shard in self._shards():
            missing = [
                accepted_entry(records.deserialize(shards.read_record(shard, offset)), shard.name, position, offset)
                for position, offset in enumerate(shards.record_offsets(shard))
                if (shard.name, position) not in listed
            ]
            self._append(missing)

    def _forget_deleted_shards(self) -> None:
        present = {shard.name for shard in self._shards()} | {None}
        kept = [entry for entry in self.lines if entry.shard in present]
        if len(kept) < len(self.lines):
            files.write_whole(self.path / MANIFEST_FILE, manifest_lines(kept))
            self.lines = kept

    def _shards(self) -> list[pathlib.Path]:
        return sorted(self.path.glob("videos-*.tfrecord"))

    def _next_shard(self) -> pathlib.Path:
        # Listing the folder once: a large dataset has tens of thousands of shards.
        if self._number is None:
            numbers = (int(shard.stem.removeprefix("videos-")) for shard in self._shards())
            self._number = max(numbers, default=-1) + 1
        while (shard := self.path / f"videos-{self._number:05d}.tfrecord").exists():
            self._number += 1
        return shard

    def _append(self, entries: list[ManifestEntry]) -> None:
        if entries:
            rows = map(dataclasses.asdict, entries)
            files.append_json_line(self.path / MANIFEST_FILE, *rows, sync=True)
            self.lines += entries
            self._note(entries)

    def _note(self, entries: list[ManifestEntry]) -> None:
        self._accepted.update({entry.video_id: entry for entry in entries if entry.status == ACCEPTED})
        self._known.update((entry.video_id,) for entry in entries)
        self._known.update(map(_known_as, entries))

    def _check(self, record: records.VideoRecord) -> None:
        for field in ("image_size", "detector", "scheme", "num_points"):
            got, expected = getattr(record, field), getattr(self.info, field)
            if got != expected:
                raise ValueError(
                    f"record {record.video_id!r}, {field}: got {got!r}, expected {expected!r} "
                    f"as in {self.path / INFO_FILE}"
                )
        wanted = self.info.borrowed_identity
        if (wanted != "none") != (record.identity_vectors is not None):
            raise ValueError(
                f"record {record.video_id!r}, identity_vectors: expected those of {wanted!r}, as "
                f"in {self.path / INFO_FILE}"
            )
        known = self._accepted.get(record.video_id)
        same = known and (record.content, record.identity) == (known.content, known.identity)
        if known and (same or record.content is None):
            raise ValueError(f"{self.path} already holds a video {record.video_id!r}")

    def write_shard(self, results: Iterable[records.VideoRecord | ManifestEntry]) -> list[ManifestEntry]:
        """Writes one shard with all the records, then the manifest lines of all results.

        Args:
          results: records, and entries of rejected inputs (`rejected_entry`).

        Returns:
          The new manifest entries, in the order of `results`.

        Raises:
          ValueError: a record does not fit this folder, or its video_id is taken. Nothing is
            written then.
        """
        shard, results = self._next_shard(), list(results)
        new: set[str] = set()
        for result in results:
            if not isinstance(result, ManifestEntry):
                self._check(result)
                if result.video_id in new:
                    raise ValueError(f"{self.path} already holds a video {result.video_id!r}")
                new.add(result.video_id)
        entries, serialized = lay_out(results, shard.name)
        if serialized:
            shards.write_shard(shard, serialized)
        self._append(entries)
        return entries

    def adopt_shard(self, shard: pathlib.Path, entries: list[ManifestEntry]) -> None:
        """Gives a whole shard from elsewhere on this file system its name in the folder.

        Args:
          shard: the file.
          entries: of its records, and of inputs that were rejected with them.
        """
        final = self._next_shard()
        os.replace(shard, final)
        files.to_disk(self.path)
        self._append(
            [dataclasses.replace(entry, shard=final.name) if entry.status == ACCEPTED else entry for entry in entries]
        )
