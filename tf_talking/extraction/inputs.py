"""What preprocessing takes: video files, folders of frames and photos, and who they show.

An input's `video_id` is the name of the given folder and the path below it ("clips/c001.mp4"), or
in VoxCeleb's folders "<identity>/<video>", so it is the same in every run. No TensorFlow.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Sequence

from tf_talking.extraction import voxceleb
from tf_talking.extraction.identities import Identities
from tf_talking.media import photos, video_reader

IMAGES_AS = ("auto", "frames", "photos", "identity")
# From this many images of one size and numbered names on, "auto" takes a folder for a video.
_FRAMES_AT_LEAST = 10
_SIZES_COMPARED = 8


@dataclasses.dataclass(frozen=True)
class InputItem:
    """One record to be.

    Attributes:
      kind: "video" (one file), "clips" (files that are parts of one video), "frames" (images of
        one video in order) or "photos" (unrelated photos of one person).
      source: the file or folder, for messages and the manifest.
      files: the files, in order.
      boxes: for each file of kind "clips" its box file, for the one of kind "video" those of its
        clips, with times in the whole video (face_boxes.py). Empty: no boxes are used.
    """

    video_id: str
    identity: str
    kind: str
    source: str
    files: tuple[str, ...]
    boxes: tuple[tuple[str, ...], ...] = ()


@dataclasses.dataclass(frozen=True)
class VoxCelebOptions:
    """How VoxCeleb's folders are read.

    Attributes:
      layout: "auto": folders named as VoxCeleb's are; "generic": none; "voxceleb": all.
      boxes: folder of the box files, <identity>/<video>/<clip>.txt.
      split_list, split: only what belongs to this split is taken.
      names: identity of a folder's name, where it is another (vox1_meta.csv).
    """

    layout: str = "auto"
    boxes: pathlib.Path | None = None
    split_list: voxceleb.SplitList | None = None
    split: str = "train"
    names: dict[str, str] = dataclasses.field(default_factory=dict)


def find_inputs(
    given: Sequence[str | os.PathLike],
    identities: Identities | None = None,
    images_as: str = "auto",
    identity_from: str = "file",
    options: VoxCelebOptions | None = None,
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
      options: of VoxCeleb's folders; their identity is VoxCeleb's.

    Raises:
      ValueError: a given path does not exist, a file does not stand where VoxCeleb's do (with
        the layout "voxceleb"), or two inputs get the same video_id.
    """
    if images_as not in IMAGES_AS:
        raise ValueError(f"images_as: got {images_as!r}, expected one of {IMAGES_AS}")
    namer = _Namer(identities or Identities(), identity_from)
    collected = _VoxCelebItems(options or VoxCelebOptions())
    items: list[InputItem] = []
    for path in map(pathlib.Path, given):
        if path.is_dir():
            for folder, _, names in _walk(path):
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
    items += collected.items()
    _check_unique(items)
    return sorted(items, key=lambda item: photos.natural_key(item.video_id))


class _VoxCelebItems:
    """Collects the clips of each video."""

    def __init__(self, options: VoxCelebOptions):
        if options.layout not in voxceleb.LAYOUTS:
            raise ValueError(f"layout: got {options.layout!r}, expected one of {voxceleb.LAYOUTS}")
        self._options = options
        self._items: list[InputItem] = []
        self._clips: dict[pathlib.Path, tuple[voxceleb.Place, list[pathlib.Path]]] = {}

    def _named(self, place: voxceleb.Place) -> voxceleb.Place:
        identity = self._options.names.get(place.identity, place.identity)
        return dataclasses.replace(place, identity=identity)

    def _wants(self, place: voxceleb.Place) -> bool:
        chosen = self._options.split_list
        return chosen is None or chosen.wants(place, self._options.split)

    def take_file(self, root: pathlib.Path, path: pathlib.Path) -> bool:
        """Whether a video file belongs to VoxCeleb (then it is taken, or left out by the split)."""
        layout = self._options.layout
        if layout == "generic":
            return False
        # Names alone decide with "auto"; else the folders must be given, at most but the first.
        strict = layout == "auto" or len(path.relative_to(root).parts) < 2
        path = path.absolute()
        place = voxceleb.place_of_file(path, strict)
        if place is None:
            if layout == "voxceleb":
                raise ValueError(f"{path}: expected <identity>/<video>/<clip> in this layout")
            return False
        place = self._named(place)
        if self._wants(place):
            video_path = path.parent if place.clip else path
            self._clips.setdefault(video_path, (place, []))[1].append(path)
        return True

    def take_frames(self, folder: pathlib.Path, names: Sequence[str]) -> bool:
        """Likewise a folder of frames."""
        layout, folder = self._options.layout, folder.absolute()
        if layout == "generic" or not any(photos.is_image(name) for name in names):
            return False
        place = voxceleb.place_of_frames(folder, strict=layout == "auto")
        if place is None:
            return False
        place = self._named(place)
        if self._wants(place):
            files = tuple(map(str, photos.frame_files(folder)))
            name = f"{place.identity}/{place.video}"
            self._items.append(InputItem(name, place.identity, "frames", str(folder), files))
        return True

    def _boxes(self, place: voxceleb.Place, file: pathlib.Path) -> tuple[str, ...]:
        folder = self._options.boxes / place.identity / place.video
        if place.clip:
            return (str(folder / f"{file.stem}.txt"),)
        return tuple(map(str, sorted(folder.glob("*.txt")))) or (str(folder),)

    def items(self) -> list[InputItem]:
        found = []
        for source, (place, files) in self._clips.items():
            files = sorted(files, key=photos.natural_key)
            boxes = tuple(self._boxes(place, file) for file in files if self._options.boxes)
            name = f"{place.identity}/{place.video}"
            kind = "clips" if place.clip else "video"
            names = tuple(map(str, files))
            found.append(InputItem(name, place.identity, kind, str(source), names, boxes))
        return self._items + found


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


def _image_items(root: pathlib.Path, folder: pathlib.Path, namer: _Namer, images_as: str) -> list[InputItem]:
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
