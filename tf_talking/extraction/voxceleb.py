"""VoxCeleb1's and VoxCeleb2's folders, split lists and tables of names.

    VoxCeleb2          mp4/id00012/21Uxsk56VDQ/00001.mp4     identity, video, clip
                       txt/id00012/21Uxsk56VDQ/00001.txt     face boxes (face_boxes.py)
    VoxCeleb1          id10001/1zcIwhmdeo4/00001.mp4         likewise; .avi and others too
    whole videos       id10001/1zcIwhmdeo4.mp4               as downloaded, with face boxes
    VoxCeleb1 frames   unzippedFaces/A.J._Buckley/1.6/1zcIwhmdeo4/0000025.jpg    one a second

A video (identity/video) is one record, its clips are parts of it. No TensorFlow.
"""

import dataclasses
import os
import pathlib
import re

from tf_talking.extraction.tables import read_text

LAYOUTS = ("auto", "generic", "voxceleb")
SPLITS = ("train", "val", "test")

_IDENTITY = re.compile(r"id\d{5}")
_VIDEO = re.compile(r"[\w-]{11}")  # YouTube's names
_FRAMES = "1.6"  # the folder between identity and video; the size of the crop round the face
_NUMBERED_SPLITS = {"1": "train", "2": "val", "3": "test"}  # iden_split.txt
_SET_NAMES = {"dev": "train", "train": "train", "val": "val", "test": "test"}  # *_meta.csv


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a file stands in VoxCeleb; `clip` is None for whole videos and folders of frames."""

    identity: str
    video: str
    clip: str | None = None


def place_of_file(path: pathlib.Path, strict: bool = True) -> Place | None:
    """Place of a video file.

    Args:
      strict: only names as VoxCeleb has them; else every <identity>/<video>/<clip> counts.

    Returns:
      Place, None if the file does not stand in such a folder.
    """
    folder, stem = path.parent, path.stem
    if _IDENTITY.fullmatch(folder.name) and _VIDEO.fullmatch(stem):
        return Place(folder.name, stem)
    named = _IDENTITY.fullmatch(folder.parent.name) and _VIDEO.fullmatch(folder.name)
    if named or (not strict and folder.parent.name):
        return Place(folder.parent.name, folder.name, stem)
    return None


def place_of_frames(folder: pathlib.Path, strict: bool = True) -> Place | None:
    """Place of a folder of frames, likewise."""
    parent = folder.parent
    if parent.name == _FRAMES and parent.parent.name:
        return Place(parent.parent.name, folder.name)
    if _IDENTITY.fullmatch(parent.name) and _VIDEO.fullmatch(folder.name):
        return Place(parent.name, folder.name)
    return Place(parent.name, folder.name) if not strict and parent.name else None


def read_names(path: str | os.PathLike) -> dict[str, str]:
    """Reads vox1_meta.csv: the names that folders of frames have -> VoxCeleb1's identities."""
    columns, rows = _read_table(path)
    if "VGGFace1 ID" not in columns:
        raise ValueError(f"{path}: no column 'VGGFace1 ID' as in vox1_meta.csv; it has {columns}")
    name, identity = columns.index("VGGFace1 ID"), 0
    return {row[name]: row[identity] for _, row in rows}


class SplitList:
    """Which identities, videos or clips belong to which split.

    Files that are understood:

        iden_split.txt                   1 id10003/na8-QEFmj44/00003.wav   (1 train, 2 val, 3 test)
        veri_test.txt, veri_test2.txt    1 id10270/x6uYqmx31kE/00001.wav id10300/.../00006.wav
        vox1_meta.csv, vox2_meta.csv     a table with the columns <...> ID and Set (dev, test)
        any other list                   id00012, id00012/21Uxsk56VDQ or .../00001.mp4 in each line

    A verification list makes its identities "test" and all others "train". A list without splits
    names what is taken, whichever split is asked for.

    Args:
      splits: (identity[, video[, clip]]) -> split, or "" for all of them.
      others: split of what is not listed.
    """

    def __init__(self, splits: dict[tuple[str, ...], str], others: str | None = None):
        self._splits, self._others = splits, others
        below: dict[tuple[str, ...], set[str]] = {}
        for key, split in splits.items():
            for length in range(1, len(key)):
                below.setdefault(key[:length], set()).add(split)
        self._below = below

    def wants(self, place: Place, split: str) -> bool:
        """Whether a file belongs to `split`; a whole video does if any clip of it does."""
        clip = (place.clip,) if place.clip else ()
        key = (place.identity, place.video, *clip)
        for length in range(len(key), 0, -1):
            if key[:length] in self._splits:
                return self._splits[key[:length]] in (split, "")
        if not clip and key in self._below:
            return bool(self._below[key] & {split, ""})
        return self._others == split

    @classmethod
    def read(cls, path: str | os.PathLike) -> "SplitList":
        """Raises ValueError, naming file and line, where a line is none of the above."""
        if pathlib.Path(path).suffix.lower() == ".csv":
            return cls(_read_sets(path))
        splits: dict[tuple[str, ...], str] = {}
        pairs = False
        for number, line in enumerate(_lines(path), 1):
            words = line.split()
            if not words:
                continue
            if len(words) == 1:
                splits[_key(path, number, words[0])] = ""
            elif len(words) == 2 and words[0] in _NUMBERED_SPLITS:
                splits[_key(path, number, words[1])] = _NUMBERED_SPLITS[words[0]]
            elif len(words) == 3 and words[0] in ("0", "1"):
                pairs = True
                splits |= {_key(path, number, word)[:1]: "test" for word in words[1:]}
            else:
                raise ValueError(
                    f"{path}, line {number}: got {line!r}, expected a path, '1|2|3 path' as in "
                    "iden_split.txt, or '0|1 path path' as in veri_test.txt"
                )
        if not splits:
            raise ValueError(f"{path}: it lists nothing")
        return cls(splits, "train" if pairs else None)


def _lines(path: str | os.PathLike) -> list[str]:
    return read_text(path).splitlines()


def _key(path, number: int, word: str) -> tuple[str, ...]:
    parts = pathlib.PurePosixPath(word).parts
    if not 1 <= len(parts) <= 3 or not _IDENTITY.fullmatch(parts[0]):
        raise ValueError(
            f"{path}, line {number}: got {word!r}, expected <identity>/<video>/<clip> such as "
            "id10003/na8-QEFmj44/00003.wav"
        )
    return (*parts[:2], *(pathlib.PurePosixPath(clip).stem for clip in parts[2:]))


def _read_table(path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Column names, and (line number, cells) of each row; separated by tabs or commas."""
    lines = _lines(path)
    mark = "\t" if lines and "\t" in lines[0] else ","
    cells = [[cell.strip() for cell in line.split(mark)] for line in lines]
    columns = cells[0] if cells else []
    rows = [(n, row) for n, row in enumerate(cells[1:], 2) if any(row)]
    for number, row in rows:
        if len(row) != len(columns):
            raise ValueError(f"{path}, line {number}: {len(row)} columns, expected {len(columns)}")
    return columns, rows


def _read_sets(path) -> dict[tuple[str, ...], str]:
    columns, rows = _read_table(path)
    if not columns or not columns[0].endswith("ID") or "Set" not in columns:
        raise ValueError(f"{path}: columns {columns}, expected an ID first and 'Set', as in vox2_meta.csv")
    place = columns.index("Set")
    for number, row in rows:
        if row[place] not in _SET_NAMES:
            raise ValueError(f"{path}, line {number}: set {row[place]!r}, expected dev or test")
    return {(row[0],): _SET_NAMES[row[place]] for _, row in rows}
