"""Frames for a user study, as folders of pictures:

    FRAMES/PERSON/real/SEQUENCE/*.png                 real frames, a folder a video sequence
    FRAMES/PERSON/generated/METHOD_T8/SEQUENCE/*.png  what METHOD drew from 8 few-shot frames

SEQUENCE below `generated` names the real sequence whose frames were generated (self-reenactment),
so that no real frame of it is shown beside them. Without "_T" and a number behind METHOD, T is not
told. Pictures are square and of any format of `tf_talking.media.photos`.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterable

import numpy as np
from absl import logging

from tf_talking.media.photos import frame_files, natural_key, write_png


@dataclasses.dataclass(frozen=True, order=True)
class Condition:
    """What is compared: a method, and the few-shot frames it had (0: not told)."""

    method: str
    t: int = 0

    @property
    def folder(self) -> str:
        """Name of its folder below `generated`."""
        return f"{self.method}_T{self.t}" if self.t else self.method

    @classmethod
    def from_folder(cls, name: str) -> "Condition":
        """The condition of a folder of that name."""
        match = re.fullmatch(r"(.+)_T([1-9]\d*)", name)
        return cls(match[1], int(match[2])) if match else cls(name)


@dataclasses.dataclass(frozen=True)
class Person:
    """Files of one person, by sequence; those of `generated` by condition first."""

    name: str
    real: dict[str, list[pathlib.Path]]
    generated: dict[Condition, dict[str, list[pathlib.Path]]]


def real_folder(frames: pathlib.Path, person: str, sequence: str) -> pathlib.Path:
    """Where a sequence's real frames belong; names may be a dataset's, with "/" in them.

    Raises:
      ValueError: a name that can not be a folder's.
    """
    return frames / _folder_name(person) / "real" / _folder_name(sequence)


def generated_folder(frames: pathlib.Path, person: str, method: str, t: int, sequence: str) -> pathlib.Path:
    """Where the frames belong that `method` drew of a sequence. Raises as above."""
    method = Condition(_folder_name(method), t).folder
    return frames / _folder_name(person) / "generated" / method / _folder_name(sequence)


def save_frames(folder: pathlib.Path, frames: Iterable[np.ndarray], numbers: Iterable[int]) -> None:
    """Writes frames uint8 RGB [S, S, 3] as PNG; each is named by its number in its sequence.

    Raises:
      OSError: a file can not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for frame, number in zip(frames, numbers, strict=True):
        write_png(folder / f"frame_{number:06d}.png", frame)


def read_people(frames: pathlib.Path) -> list[Person]:
    """Everybody in the folder who has real and generated frames, in the order of names.

    People with one of the two are left out with a warning: real frames are written of everybody
    with enough videos, generated ones of those who were evaluated.

    Raises:
      FileNotFoundError: no such folder.
      ValueError: nobody is left, or a folder of a sequence has no pictures, or there are generated
        frames of a sequence that the person lacks.
    """
    if not frames.is_dir():
        raise FileNotFoundError(f"{frames}: no such folder")
    people = []
    for folder in _folders(frames):
        missing = [part for part in ("real", "generated") if not (folder / part).is_dir()]
        if missing:
            logging.warning("%s is left out: it has no folder %r", folder, missing[0])
        else:
            people.append(_read_person(folder))
    if not people:
        raise ValueError(
            f"{frames}: nobody in it with real and generated frames, expected "
            "PERSON/real/SEQUENCE and PERSON/generated/METHOD/SEQUENCE"
        )
    return people


def _read_person(folder: pathlib.Path) -> Person:
    real = _sequences(folder / "real")
    generated = {Condition.from_folder(method.name): _sequences(method) for method in _folders(folder / "generated")}
    if not generated:
        raise ValueError(f"{folder / 'generated'}: no folder of a method, expected METHOD/SEQUENCE")
    for condition, sequences in generated.items():
        for name in sequences.keys() - real.keys():
            raise ValueError(
                f"{folder / 'generated' / condition.folder / name}: there is no real/{name}; "
                f"expected one of {list(real)}"
            )
    return Person(folder.name, real, generated)


def _sequences(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    sequences = {path.name: frame_files(path) for path in _folders(folder)}
    if not sequences:
        raise ValueError(f"{folder}: no folder of a sequence, expected SEQUENCE/*.png")
    for name, files in sequences.items():
        if not files:
            raise ValueError(f"{folder / name}: no pictures in it, expected .png, .jpg, ...")
    return sequences


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder}: missing, expected a folder")
    found = (path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    return sorted(found, key=lambda path: natural_key(path.name))


def _folder_name(name: str) -> str:
    if not name or name[0] == "." or "\\" in name or "\0" in name:
        raise ValueError(f"{name!r}: can not be the name of a folder")
    return name.replace("/", "_")
