"""Parts of a dataset: what many workers write at once, for one DatasetWriter to take up.

    parts/<key>.tfrecord    a shard of records; none where every input was rejected
    parts/<key>.jsonl       manifest lines of its inputs; with them the part is whole

The key follows from the inputs, so a part that is made again replaces its equal. Merging gives a
part's shard its name in the dataset, then appends its lines to the manifest: a kill in between is
harmless, since DatasetWriter knows a shard without lines by its records.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterable

from tf_talking import files
from tf_talking.dataset import records, shards
from tf_talking.dataset.folder import ACCEPTED, REJECTED, ManifestEntry, manifest_lines, read_manifest_lines
from tf_talking.dataset.writer import DatasetWriter, lay_out

PARTS_FOLDER = "parts"
_LINES = "[!.]*.jsonl"  # not those that are being written


def part_key(video_ids: Iterable[str]) -> str:
    """Name of the part that holds these inputs: the same in every run."""
    return hashlib.sha256(json.dumps(list(video_ids)).encode()).hexdigest()[:24]


def part_keys(folder: str | os.PathLike) -> set[str]:
    """Keys of the whole parts of a dataset folder."""
    return {path.stem for path in (pathlib.Path(folder) / PARTS_FOLDER).glob(_LINES)}


def write_part(folder: str | os.PathLike, key: str, results: Iterable[records.VideoRecord | ManifestEntry]) -> None:
    """Writes results below the dataset folder. Many processes may do so at once.

    Raises:
      OSError: the disk is full, ...; no part appears then.
    """
    parts = pathlib.Path(folder) / PARTS_FOLDER
    parts.mkdir(exist_ok=True)
    shard = parts / f"{key}.tfrecord"
    entries, serialized = lay_out(results, shard.name)
    if serialized:
        shards.write_shard(shard, serialized)
    files.write_whole(shard.with_suffix(".jsonl"), manifest_lines(entries))


def merge_parts(writer: DatasetWriter) -> None:
    """Takes up every whole part of the writer's folder and removes what killed workers left.

    Inputs that the dataset holds already, with that content, are left out.

    Raises:
      ValueError: a part's manifest lines are damaged.
      OSError: the disk is full, ...; what is not merged is there for the next time.
    """
    parts = writer.path / PARTS_FOLDER
    if not parts.is_dir():
        return
    for lines in sorted(parts.glob(_LINES)):
        shard = lines.with_suffix(".tfrecord")
        _merge_part(writer, read_manifest_lines(lines), shard)
        lines.unlink()
        shard.unlink(missing_ok=True)
    files.remove_unfinished(parts)
    for leftover in parts.glob("*.tfrecord"):
        leftover.unlink()


def _merge_part(writer: DatasetWriter, found: list[ManifestEntry], shard: pathlib.Path) -> None:
    entries = [entry for entry in found if not writer.holds(entry)]
    if not shard.is_file():
        # Its videos are in the dataset already (killed while merging), or there were none.
        writer.write_shard([entry for entry in entries if entry.status == REJECTED])
    elif len(entries) == len(found):
        writer.adopt_shard(shard, entries)
    else:
        offsets = shards.record_offsets(shard)
        writer.write_shard(
            records.deserialize(shards.read_record(shard, offsets[entry.position]))
            if entry.status == ACCEPTED
            else entry
            for entry in entries
        )
