"""What preprocessing takes: video files, folders of frames and photos, and who they show.

An input's `video_id` is the name of the given folder and the path below it ("clips/c001.mp4"), or
in VoxCeleb's folders "<identity>/<video>", so it is the same in every run. No TensorFlow.
"""

import collections
import os
import pathlib
import re
from collections.abc import Callable, Sequence

from absl import logging

from tf_talking.extraction.identities import Identities
from tf_talking.extraction.item import InputItem
from tf_talking.extraction.voxceleb_inputs import VoxCelebInputs, VoxCelebOptions
from tf_talking.extraction.walk import walk
from tf_talking.media import photos, video_reader

IMAGES_AS = ("auto", "frames", "photos", "identity")
# From this many images of one size and numbered names on, "auto" takes a folder for a video.
_FRAMES_AT_LEAST = 10
_SIZES_COMPARED = 8
_KINDS_SHOWN = 10


def find_inputs(
    given: Sequence[str | os.PathLike],
    identities: Identities | None = None,
    images_as: str = "auto",
    identity_from: str = "file",
    options: VoxCelebOptions | None = None,
    note: Callable[[str], None] = logging.warning,
) -> list[InputItem]:
    """Lists the inputs below the given files and folders, in natural order.

    Args:
      given: files and folders (searched through; hidden ones and files of other kinds are left
        out, but a file that is given itself is taken whatever its name).
      identities: who is on which file.
      images_as: "frames": images of one folder are one video; "photos": each is an input of its
        own; "identity": photos of one folder and one known identity form one input, others
        are inputs of their own; "auto": "frames" where a folder holds at least ten images of
        one size whose names differ in their number only and `identities` names none of them,
        else "identity".
      identity_from: for files that `identities` does not name. "file": everybody is a person of
        their own, "folder": the first folder below the given one is the person.
      options: of VoxCeleb's folders; their identity is VoxCeleb's.
      note: gets a line for what is left out, hidden files excepted.

    Raises:
      ValueError: a given path does not exist, a file does not stand where VoxCeleb's do (with
        the layout "voxceleb"), or two inputs get the same video_id.
    """
    if images_as not in IMAGES_AS:
        raise ValueError(f"images_as: got {images_as!r}, expected one of {IMAGES_AS}")
    namer = _Namer(identities or Identities(), identity_from)
    collected = VoxCelebInputs(options or VoxCelebOptions())
    items: list[InputItem] = []
    other_kinds: dict[str, list[str]] = collections.defaultdict(list)
    # Absolute: an input's source tells it from others of its name, wherever the program is started.
    for path in (pathlib.Path(path).absolute() for path in given):
        if path.is_dir():
            for folder, names in walk(path, note):
                for name in names:
                    if not _is_taken(name):
                        other_kinds[pathlib.Path(name).suffix].append(name)
                files = [folder / name for name in names if video_reader.is_video(folder / name)]
                files = [file for file in files if not collected.take_file(path, file)]
                items += [namer.item(path, file, "video", [file]) for file in files]
                if not collected.take_frames(folder, names):
                    items += _image_items(path, folder, namer, images_as)
        elif path.is_file():
            kind = "photos" if photos.is_image(path) else "video"
            items.append(namer.item(path.parent, path, kind, [path]))
        else:
            raise ValueError(f"input: there is no {path}")
    if other_kinds:
        kinds = [
            f"{len(names)} {suffix or 'without a suffix'} ({names[0]}{', ...' if len(names) > 1 else ''})"
            for suffix, names in sorted(other_kinds.items(), key=lambda kind: -len(kind[1]))
        ]
        more = f" and {len(kinds) - _KINDS_SHOWN} more kinds" if len(kinds) > _KINDS_SHOWN else ""
        note(f"left out what is neither video nor photo by its name: {', '.join(kinds[:_KINDS_SHOWN])}{more}")
    if namer.guessed_frames:
        note(
            f"{len(namer.guessed_frames)} folders of at least {_FRAMES_AT_LEAST} numbered images of one size are taken "
            f"for the frames of one video each ({namer.guessed_frames[0]}, ...); photos need images_as=photos"
        )
    items += collected.items()
    _check_unique(items)
    items = {item.video_id: item for item in items}.values()  # a folder may be given twice
    return sorted(items, key=lambda item: photos.natural_key(item.video_id))


def _is_taken(name: str) -> bool:
    return video_reader.is_video(name) or photos.is_image(name)


class _Namer:
    def __init__(self, identities: Identities, identity_from: str):
        self.identities, self.identity_from = identities, identity_from
        self.guessed_frames: list[pathlib.Path] = []

    def known(self, root: pathlib.Path, path: pathlib.Path) -> str | None:
        """Identity of a file or folder below `root`, where anything says it."""
        found = self.identities.find(root, path)
        below = path.relative_to(root).parts
        if found is None and self.identity_from == "folder":
            folders = below if path.is_dir() else below[:-1]
            found = folders[0] if folders else None
        return found

    def item(self, root, path, kind, files, name=None, identity=None) -> InputItem:
        parts = (root.name, *path.relative_to(root).parts, *([name] if name else []))
        video_id = "/".join(parts)
        identity = identity or self.known(root, path) or video_id
        return InputItem(video_id, identity, kind, str(path), tuple(map(str, files)))


def _image_items(root: pathlib.Path, folder: pathlib.Path, namer: _Namer, images_as: str) -> list[InputItem]:
    files = photos.frame_files(folder)
    if not files:
        return []
    # A table that names images one by one takes them for photos, however they are numbered.
    one_by_one = any(namer.identities.find(root, file) is not None for file in files)
    guessed = images_as == "auto" and not one_by_one and _looks_like_frames(files)
    if guessed:
        namer.guessed_frames.append(folder)
    if guessed or images_as == "frames":
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
