"""What preprocessing takes: video files, folders of frames and photos, and who they show.

An input's `video_id` is the name of the given folder and the path below it ("clips/c001.mp4"), so
it is the same in every run. No TensorFlow.
"""

import csv
import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable, Sequence

from tf_talking.data import photos, video

IMAGES_AS = ("auto", "frames", "photos", "identity")
# From this many images of one size and numbered names on, "auto" takes a folder for a video.
_FRAMES_AT_LEAST = 10
_SIZES_COMPARED = 8


@dataclasses.dataclass(frozen=True)
class InputItem:
    """One record to be.

    Attributes:
        kind: "video" (one file), "frames" (images of one video in order) or "photos" (unrelated
            photos of one person).
        source: the file or folder, for messages and the manifest.
        files: the files, in order.
    """

    video_id: str
    identity: str
    kind: str
    source: str
    files: tuple[str, ...]


class Identities:
    """Who is on which file, from a CSV file with the columns `file` and `identity`.

    A row fits a file whose path ends with the row's, or where the row's path ends with the file's
    path relative to the input. Of several, the one with the longest common tail counts.
    """

    def __init__(self, rows: Iterable[tuple[str, str]] = ()):
        self._by_name: dict[str, dict[tuple[str, ...], str]] = {}
        for file, identity in rows:
            parts = pathlib.PurePosixPath(file).parts
            known = self._by_name.setdefault(parts[-1], {})
            if known.setdefault(parts, identity) != identity:
                raise ValueError(f"{file!r} has two identities: {known[parts]!r} and {identity!r}")

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Identities":
        """Raises ValueError, naming file and line, where a column or a value is missing."""
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"file", "identity"} - set(reader.fieldnames or ())
            if missing:
                raise ValueError(
                    f"{path}: no column {', '.join(sorted(missing))}; it has {reader.fieldnames}"
                )
            rows = []
            for row in reader:
                name, identity = (row["file"] or "").strip(), (row["identity"] or "").strip()
                if not pathlib.PurePosixPath(name).parts or not identity:
                    raise ValueError(f"{path}, line {reader.line_num}: empty file or identity")
                rows.append((name, identity))
        try:
            return cls(rows)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def find(self, root: pathlib.Path, path: pathlib.Path) -> str | None:
        """Identity of a file or folder below `root`, None if the CSV does not name it.

        Raises:
            ValueError: rows with different identities fit equally well.
        """
        own = path.absolute().parts
        below = len(path.relative_to(root).parts)
        best, found = 0, set()
        for parts, identity in self._by_name.get(path.name, {}).items():
            common = _common_tail(own, parts)
            if common < min(len(parts), below) or common < best:
                continue
            if common > best:
                best, found = common, set()
            found.add(identity)
        if len(found) > 1:
            raise ValueError(f"{path}: several identities fit: {sorted(found)}")
        return found.pop() if found else None


def _common_tail(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    count = 0
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y:
            break
        count += 1
    return count


def find_inputs(
    given: Sequence[str | os.PathLike],
    identities: Identities | None = None,
    images_as: str = "auto",
    identity_from: str = "file",
) -> list[InputItem]:
    """Lists the inputs below the given files and folders, in natural order.

    Args:
        given: files and folders (searched through; hidden ones and files of other kinds are left
            out, but a file that is given itself is taken whatever its name).
        identities: who is on which file.
        images_as: "frames": images of one folder are one video; "photos": each is an input of its
            own; "identity": photos of one folder and one known identity form one input, others
            are inputs of their own; "auto": "frames" where a folder holds at least ten images of
            one size whose names differ in their number only, else "identity".
        identity_from: for files that `identities` does not name. "file": everybody is a person of
            their own, "folder": the first folder below the given one is the person.

    Raises:
        ValueError: a given path does not exist, or two inputs get the same video_id.
    """
    if images_as not in IMAGES_AS:
        raise ValueError(f"images_as: got {images_as!r}, expected one of {IMAGES_AS}")
    namer = _Namer(identities or Identities(), identity_from)
    items: list[InputItem] = []
    for path in map(pathlib.Path, given):
        if path.is_dir():
            for folder, _, names in _walk(path):
                files = [folder / name for name in names]
                items += [namer.item(path, f, "video", [f]) for f in files if video.is_video(f)]
                items += _image_items(path, folder, namer, images_as)
        elif path.is_file():
            kind = "photos" if photos.is_image(path) else "video"
            items.append(namer.item(path.parent, path, kind, [path]))
        else:
            raise ValueError(f"input: there is no {path}")
    _check_unique(items)
    return sorted(items, key=lambda item: photos.natural_key(item.video_id))


def _walk(path: pathlib.Path):
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield pathlib.Path(folder), folders, [name for name in names if name[0] != "."]


class _Namer:
    def __init__(self, identities: Identities, identity_from: str):
        self.identities, self.identity_from = identities, identity_from

    def known(self, root: pathlib.Path, path: pathlib.Path) -> str | None:
        """Identity of a file or folder below `root`, where anything says it."""
        found = self.identities.find(root, path)
        below = path.relative_to(root).parts
        if found is None and self.identity_from == "folder":
            folders = below if path.is_dir() else below[:-1]
            found = folders[0] if folders else None
        return found

    def item(self, root, path, kind, files, name=None, identity=None) -> InputItem:
        parts = (root.absolute().name, *path.relative_to(root).parts, *([name] if name else []))
        video_id = "/".join(parts)
        identity = identity or self.known(root, path) or video_id
        return InputItem(video_id, identity, kind, str(path), tuple(map(str, files)))


def _image_items(
    root: pathlib.Path, folder: pathlib.Path, namer: _Namer, images_as: str
) -> list[InputItem]:
    files = photos.frame_files(folder)
    if not files:
        return []
    if images_as == "frames" or (images_as == "auto" and _looks_like_frames(files)):
        return [namer.item(root, folder, "frames", files)]
    if images_as == "photos":
        return [namer.item(root, file, "photos", [file]) for file in files]
    groups: dict[str, list[pathlib.Path]] = {}
    items = []
    for file in files:
        identity = namer.known(root, file)
        if identity is None:
            items.append(namer.item(root, file, "photos", [file]))
        else:
            groups.setdefault(identity, []).append(file)
    for identity, group in groups.items():
        name = f"photos of {identity}"
        items.append(namer.item(root, folder, "photos", group, name, identity))
    return items


def _looks_like_frames(files: list[pathlib.Path]) -> bool:
    if len(files) < _FRAMES_AT_LEAST or len({re.sub(r"\d+", "#", f.name) for f in files}) > 1:
        return False
    step = max(len(files) // _SIZES_COMPARED, 1)
    try:
        return len({photos.photo_size(file) for file in files[::step]}) == 1
    except ValueError:
        return False


def _check_unique(items: list[InputItem]) -> None:
    sources: dict[str, str] = {}
    for item in items:
        other = sources.setdefault(item.video_id, item.source)
        if other != item.source:
            raise ValueError(
                f"two inputs would both be called {item.video_id!r}: {other} and {item.source}; "
                "give the folder above them as the input"
            )
