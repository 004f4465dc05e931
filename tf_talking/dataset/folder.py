"""A dataset folder: what preprocessing writes and training reads.

dataset.json            {format_version, image_size, detector, scheme, num_points}
manifest.jsonl          one line for each input, accepted or rejected (ManifestEntry); one
                        that was done again has a later line: see `standing`
videos-00000.tfrecord   shards of video records (records.py)
"""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterable

from tf_talking import files
from tf_talking.config import Config
from tf_talking.dataset import paths, records, shards

INFO_FILE = "dataset.json"
MANIFEST_FILE = "manifest.jsonl"
ACCEPTED = "accepted"
REJECTED = "rejected"


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What all records of a folder have in common."""

    image_size: int  # pixels, S
    detector: str
    scheme: str
    num_points: int
    format_version: int = records.FORMAT_VERSION
    borrowed_identity: str = "none"  # the recogniser whose embeddings stand beside the frames

    def check_made_for(self, config: Config) -> None:
        """Raises ValueError, naming the field, where a model of `config` can not take them."""
        for name, wanted, found in (
            ("image_size", config.model.image_size, self.image_size),
            ("scheme", config.landmarks.scheme, self.scheme),
            ("detector", config.landmarks.detector, self.detector),
        ):
            if wanted != found:
                raise ValueError(
                    f"dataset: its {name} is {found!r}, the model's config has {wanted!r}; "
                    f"preprocess with {name}={wanted}, or take a config with {found!r}"
                )
        wanted = config.model.borrowed_identity
        if wanted not in ("none", self.borrowed_identity):
            raise ValueError(
                f"--dataset: it holds no embeddings of {wanted!r}, from which the model's config "
                f"borrows identity; preprocess again with --borrowed_identity={wanted}"
            )


@dataclasses.dataclass(frozen=True)
class ManifestEntry:
    """One input and what became of it."""

    source: str
    video_id: str
    identity: str
    status: str  # "accepted" or "rejected"
    reason: str | None = None  # why it was rejected
    shard: str | None = None  # file name
    position: int | None = None  # of the record in its shard
    offset: int | None = None  # bytes, of the record in its shard; older folders do not say
    num_frames: int = 0
    rejected_frames: dict[str, int] = dataclasses.field(default_factory=dict)  # reason: count
    rejected_clips: dict[str, str] = dataclasses.field(default_factory=dict)  # file: reason
    kind: str = records.VIDEO  # or PHOTOS
    content: records.Content | None = None  # of the input's files; older folders do not say


def rejected_entry(
    source: str, video_id: str, identity: str, reason: str, rejected_frames=None, rejected_clips=None, content=None
) -> ManifestEntry:
    """Manifest entry of an input that gave no record."""
    return ManifestEntry(
        source,
        video_id,
        identity,
        REJECTED,
        reason,
        rejected_frames=dict(rejected_frames or {}),
        rejected_clips=dict(rejected_clips or {}),
        content=content,
    )


def accepted_entry(record: records.VideoRecord, shard: str, position: int, offset: int) -> ManifestEntry:
    """Manifest entry of a record that stands at `position`, byte `offset`, in `shard`."""
    return ManifestEntry(
        record.source,
        record.video_id,
        record.identity,
        ACCEPTED,
        None,
        shard,
        position,
        offset,
        record.num_frames,
        dict(record.rejected_frames),
        dict(record.rejected_clips),
        record.kind,
        record.content,
    )


def read_info(folder: str | os.PathLike) -> DatasetInfo:
    """Reads dataset.json. Raises FileNotFoundError or ValueError, naming the file."""
    path = paths.join(folder, INFO_FILE)
    if not paths.is_file(path):
        raise FileNotFoundError(f"{folder} is not a dataset folder: it has no {INFO_FILE}")
    try:
        info = DatasetInfo(**json.loads(paths.read_bytes(path)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: not the description of a dataset: {error}") from None
    if info.format_version != records.FORMAT_VERSION:
        raise ValueError(f"{path}: format_version {info.format_version}, expected {records.FORMAT_VERSION}")
    return info


def standing(lines: Iterable[ManifestEntry]) -> list[ManifestEntry]:
    """The lines that no later line of the same video takes the place of, in their order.

    A record replaces the one before it, and what was rejected before it. Where an input was
    rejected the second time, its earlier record stays.
    """
    lines = list(lines)
    records_of: dict[str, int] = {}
    rejected_of: dict[str, int] = {}
    for number, line in enumerate(lines):
        if line.status == ACCEPTED:
            records_of[line.video_id] = number
            rejected_of.pop(line.video_id, None)
        else:
            rejected_of[line.video_id] = number
    return [lines[number] for number in sorted({*records_of.values(), *rejected_of.values()})]


def read_manifest(folder: str | os.PathLike) -> list[ManifestEntry]:
    """Reads all of manifest.jsonl; a last line that was cut (by a kill) does not count."""
    path = paths.join(folder, MANIFEST_FILE)
    return read_manifest_lines(path) if paths.is_file(path) else []


def read_manifest_lines(path: str | os.PathLike) -> list[ManifestEntry]:
    """Reads a file of manifest lines. Raises ValueError, naming file and line."""
    entries = []
    rows = files.parse_json_lines(paths.read_bytes(os.fspath(path)), os.fspath(path))
    for number, row in enumerate(rows, 1):
        try:
            content = records.content_of(row.pop("content", None))
            entries.append(ManifestEntry(**row, content=content))
        except TypeError as error:
            raise ValueError(f"{path}, line {number}: not a manifest entry: {error}") from None
    return entries


def manifest_lines(entries: Iterable[ManifestEntry]) -> str:
    """Entries as lines of JSON."""
    return "".join(f"{files.json_line(dataclasses.asdict(entry))}\n" for entry in entries)


class DatasetFolder:
    """A dataset folder opened for reading, on any path that TensorFlow knows (paths.py).

    Attributes:
      path: the folder, as text.
      info: DatasetInfo.
      entries: the manifest's standing entries, in the order of the file.
      accepted: entries with a record, sorted by (shard, position). The index in this list is
        the video index.
    """

    def __init__(self, path: str, info: DatasetInfo, entries: list[ManifestEntry]):
        self.path = path
        self.info = info
        self.entries = standing(entries)
        accepted = [entry for entry in self.entries if entry.status == ACCEPTED]
        self.accepted = sorted(accepted, key=lambda entry: (entry.shard, entry.position))
        self._found_offsets: dict[str, list[int]] = {}

    @classmethod
    def open(cls, path: str | os.PathLike) -> "DatasetFolder":
        """Raises FileNotFoundError or ValueError if `path` is not a sound dataset folder."""
        path = os.fspath(path)
        return cls(path, read_info(path), read_manifest(path))

    @functools.cached_property
    def data_hash(self) -> str:
        """16 hexadecimal digits over what the folder holds and in which order."""
        info = dataclasses.asdict(self.info)
        if info["borrowed_identity"] == "none":
            del info["borrowed_identity"]  # came later; runs on older folders go on
        described = [info] + [
            [entry.video_id, entry.identity, entry.shard, entry.position, entry.num_frames] for entry in self.accepted
        ]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]

    def location(self, entry: ManifestEntry) -> tuple[str, int]:
        """(path of the shard, byte offset) of an accepted entry.

        Where the manifest does not tell the offset (an older folder), the headers of the whole
        shard are read once.

        Raises:
          shards.ShardError: such a shard is truncated, or has fewer records than the manifest
            says.
          FileNotFoundError: such a shard is missing.
        """
        shard = paths.join(self.path, entry.shard)
        if entry.offset is not None:
            return shard, entry.offset
        if entry.shard not in self._found_offsets:
            self._found_offsets[entry.shard] = shards.record_offsets(shard)
        offsets = self._found_offsets[entry.shard]
        if entry.position >= len(offsets):
            raise shards.ShardError(
                f"shard {shard}: {len(offsets)} records, but {paths.join(self.path, MANIFEST_FILE)}"
                f" has video {entry.video_id!r} at position {entry.position}"
            )
        return shard, offsets[entry.position]

    def find_damage(self) -> dict[str, str]:
        """Shards that are missing or too short: file name -> what is wrong.

        One listing of the folder; local shards, and those whose offsets the manifest does not
        tell, are also looked into.
        """
        last = {entry.shard: entry for entry in self.accepted}
        present = paths.list_names(self.path)
        damage = {}
        for name, entry in last.items():
            shard = paths.join(self.path, name)
            if name not in present:
                damage[name] = f"shard {shard} is missing"
                continue
            try:
                _, offset = self.location(entry)
                # Over a network this would take a request for each shard.
                if not paths.is_remote(shard) and not shards.record_offsets(shard, offset):
                    damage[name] = f"shard {shard} is truncated: nothing at byte {offset}"
            except (OSError, shards.ShardError) as error:
                damage[name] = str(error)
        return damage

    def read_video(self, video_id: str) -> records.VideoRecord:
        """Reads one record.

        Raises:
          ValueError: no accepted video has this id; names some that there are.
          shards.ShardError: its shard is damaged.
        """
        for entry in self.accepted:
            if entry.video_id == video_id:
                return records.deserialize(shards.read_record(*self.location(entry)))
        known = [entry.video_id for entry in self.accepted]
        shown = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
        raise ValueError(f"{self.path}: got video_id {video_id!r}, expected one of its {len(known)} videos ({shown})")
