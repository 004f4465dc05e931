"""What preprocessing made of its inputs, in words."""

import collections
from collections.abc import Sequence

from tf_talking.dataset.folder import ACCEPTED, MANIFEST_FILE, REJECTED
from tf_talking.dataset.writer import DatasetWriter
from tf_talking.files import readable

_SHOWN = 20


def summary(writer: DatasetWriter, skipped: int, notes: Sequence[str] = ()) -> str:
    """Counts, and reasons of what was left out.

    Args:
      writer: of the dataset folder.
      skipped: inputs that earlier runs had done.
      notes: what else there is to say, a line each.
    """
    entries = writer.entries
    accepted = [entry for entry in entries if entry.status == ACCEPTED]
    rejected = [entry for entry in entries if entry.status == REJECTED]
    frames = sum(entry.num_frames for entry in accepted)
    people = len({entry.identity for entry in accepted})
    lines = [
        f"{writer.path}: {len(accepted)} inputs accepted ({frames} frames, {people} identities), "
        f"{len(rejected)} rejected, {skipped} of them done by earlier runs"
    ]
    kept = {entry.video_id for entry in accepted}
    for entry in rejected[:_SHOWN]:
        stays = " (its record of an earlier run stays)" if entry.video_id in kept else ""
        lines.append(f"  rejected {entry.video_id}: {entry.reason}{stays}")
    if len(rejected) > _SHOWN:
        lines.append(f"  and {len(rejected) - _SHOWN} more")
    clips: collections.Counter[str] = collections.Counter()
    causes: collections.Counter[str] = collections.Counter()
    for entry in accepted:
        clips.update(entry.rejected_clips.values())
        causes.update(entry.rejected_frames)
    for why, n in clips.most_common(_SHOWN):
        lines.append(f"  left out {n} clips of accepted videos: {why}")
    lines += [f"  left out {n} frames of accepted inputs: {why}" for why, n in causes.items()]
    lines += [f"  {readable(note)}" for note in notes]
    lines.append(f"Every input and reason: {writer.path / MANIFEST_FILE}")
    return "\n".join(lines)
