"""A dataset folder: what preprocessing writes and training reads.

    dataset.json            {format_version, image_size, detector, scheme, num_points}
    manifest.jsonl          one line for each input, accepted or rejected (ManifestEntry)
    videos-00000.tfrecord   shards of video records (records.py)

The order of writing makes a kill harmless at any moment: a shard is written under a temporary name
and renamed, then its lines are appended to the manifest. A shard whose lines are missing (killed
in between) gives them back on the next run: each record holds all that its line says.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable

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

    def check_made_for(self, config: Config) -> None:
        """Raises ValueError, naming the field, where a model of `config` can not take them."""
        for name, wanted, found in (
            ("image_size", config.model.image_size, self.image_size),
            ("scheme", config.landmarks.scheme, self.scheme),
            ("detector", config.landmarks.detector, self.detector),
        ):
            if wanted != found:
                raise ValueError(
                    f"--dataset: its {name} is {found!r}, the model's config has {wanted!r}; "
                    f"preprocess with --{name}={wanted}, or take a config with {found!r}"
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


def rejected_entry(
    source: str,
    video_id: str,
    identity: str,
    reason: str,
    rejected_frames=None,
    rejected_clips=None,
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
    )


def accepted_entry(
    record: records.VideoRecord, shard: str, position: int, offset: int
) -> ManifestEntry:
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
        raise ValueError(
            f"{path}: format_version {info.format_version}, expected {records.FORMAT_VERSION}"
        )
    return info


def read_manifest(folder: str | os.PathLike) -> list[ManifestEntry]:
    """Reads manifest.jsonl; an unfinished last line (killed while writing) does not count."""
    path = paths.join(folder, MANIFEST_FILE)
    return read_manifest_lines(path) if paths.is_file(path) else []


def read_manifest_lines(path: str | os.PathLike) -> list[ManifestEntry]:
    """Reads a file of manifest lines. Raises ValueError, naming file and line."""
    *lines, _unfinished = paths.read_bytes(os.fspath(path)).split(b"\n")
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(ManifestEntry(**json.loads(line)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, line {number}: not a manifest entry: {error}") from None
    return entries


def manifest_lines(entries: Iterable[ManifestEntry]) -> str:
    """Entries as lines of JSON."""
    return "".join(json.dumps(dataclasses.asdict(entry)) + "\n" for entry in entries)


def write_whole_shard(shard: pathlib.Path, serialized: list[bytes]) -> None:
    """Writes a shard. Raises OSError where that fails; nothing of it stays then."""
    import tensorflow as tf

    try:
        shards.write_shard(shard, serialized)
    except (tf.errors.OpError, OSError) as error:
        shard.with_name(f"{shard.name}.tmp").unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        raise OSError(f"{shard} could not be written, is the disk full? {reason}") from error


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


class DatasetFolder:
    """A dataset folder opened for reading, on any path that TensorFlow knows (paths.py).

    Attributes:
        path: the folder, as text.
        info: DatasetInfo.
        entries: every manifest entry, in the order of the file.
        accepted: entries with a record, sorted by (shard, position). The index in this list is
            the video index.
    """

    def __init__(self, path: str, info: DatasetInfo, entries: list[ManifestEntry]):
        self.path = path
        self.info = info
        self.entries = entries
        accepted = [entry for entry in entries if entry.status == ACCEPTED]
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
        described = [dataclasses.asdict(self.info)] + [
            [entry.video_id, entry.identity, entry.shard, entry.position, entry.num_frames]
            for entry in self.accepted
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
            KeyError: no accepted video has this id.
            shards.ShardError: its shard is damaged.
        """
        for entry in self.accepted:
            if entry.video_id == video_id:
                return records.deserialize(shards.read_record(*self.location(entry)))
        raise KeyError(f"{self.path} holds no video {video_id!r}")


class DatasetWriter:
    """Adds shards to a dataset folder, new or begun earlier; one writer at a time.

    Opening repairs what a killed run left: an unfinished manifest line, temporary files, a shard
    that is not in the manifest. Inputs whose shard was deleted are forgotten, so that they are
    done again.

    Attributes:
        entries: manifest entries so far (those of earlier runs included).
    """

    def __init__(
        self, path: str | os.PathLike, image_size: int, detector: str, scheme: str, num_points: int
    ):
        """Raises ValueError if the folder holds data of another size, detector or scheme."""
        if paths.is_remote(path):
            raise ValueError(
                f"{path}: datasets are written to local folders only, where a rename is atomic; "
                "write to a local folder, then copy it"
            )
        self.path = pathlib.Path(path)
        self.info = DatasetInfo(image_size, detector, scheme, num_points)
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / INFO_FILE).is_file():
            self._check_same(read_info(self.path))
        else:
            temporary = self.path / f"{INFO_FILE}.tmp"
            temporary.write_text(json.dumps(dataclasses.asdict(self.info), indent=1) + "\n")
            os.replace(temporary, self.path / INFO_FILE)
        self.entries = read_manifest(self.path)
        self._number: int | None = None  # of the next shard, or a smaller one
        self._repair()

    def _check_same(self, existing: DatasetInfo) -> None:
        for field in dataclasses.fields(DatasetInfo):
            old, new = getattr(existing, field.name), getattr(self.info, field.name)
            if old != new:
                raise ValueError(
                    f"{self.path / INFO_FILE}: {field.name} is {old!r}, asked for is {new!r}; "
                    "one dataset folder can not mix them, take another output folder"
                )

    def _repair(self) -> None:
        manifest = self.path / MANIFEST_FILE
        if manifest.is_file():
            whole = manifest.read_bytes().rfind(b"\n") + 1
            os.truncate(manifest, whole)
        for leftover in self.path.glob("videos-*.tfrecord.tmp"):
            leftover.unlink()
        self._forget_deleted_shards()
        listed = {(entry.shard, entry.position) for entry in self.entries}
        for shard in self._shards():
            missing = [
                accepted_entry(
                    records.deserialize(shards.read_record(shard, offset)),
                    shard.name,
                    position,
                    offset,
                )
                for position, offset in enumerate(shards.record_offsets(shard))
                if (shard.name, position) not in listed
            ]
            self._append(missing)

    def _forget_deleted_shards(self) -> None:
        present = {shard.name for shard in self._shards()} | {None}
        kept = [entry for entry in self.entries if entry.shard in present]
        if len(kept) < len(self.entries):
            temporary = self.path / f"{MANIFEST_FILE}.tmp"
            temporary.write_text(manifest_lines(kept), encoding="utf-8")
            os.replace(temporary, self.path / MANIFEST_FILE)
            self.entries = kept

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
        if not entries:
            return
        with open(self.path / MANIFEST_FILE, "a", encoding="utf-8") as file:
            file.write(manifest_lines(entries))
            file.flush()
            os.fsync(file.fileno())
        self.entries += entries

    def _check(self, record: records.VideoRecord, known: set[str]) -> None:
        for field in ("image_size", "detector", "scheme", "num_points"):
            got, expected = getattr(record, field), getattr(self.info, field)
            if got != expected:
                raise ValueError(
                    f"record {record.video_id!r}, {field}: got {got!r}, expected {expected!r} "
                    f"as in {self.path / INFO_FILE}"
                )
        if record.video_id in known:
            raise ValueError(f"{self.path} already holds a video {record.video_id!r}")

    def write_shard(
        self, results: Iterable[records.VideoRecord | ManifestEntry]
    ) -> list[ManifestEntry]:
        """Writes one shard with all the records, then the manifest lines of all results.

        Args:
            results: records, and entries of rejected inputs (`rejected_entry`).

        Returns:
            The new manifest entries, in the order of `results`.

        Raises:
            ValueError: a record does not fit this folder, or its video_id is taken. Nothing is
                written then.
        """
        known = {entry.video_id for entry in self.entries if entry.status == ACCEPTED}
        shard, results = self._next_shard(), list(results)
        for result in results:
            if not isinstance(result, ManifestEntry):
                self._check(result, known)
                known.add(result.video_id)
        entries, serialized = lay_out(results, shard.name)
        if serialized:
            write_whole_shard(shard, serialized)
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
        shards.sync_folder(self.path)
        self._append(
            [
                dataclasses.replace(entry, shard=final.name) if entry.status == ACCEPTED else entry
                for entry in entries
            ]
        )
