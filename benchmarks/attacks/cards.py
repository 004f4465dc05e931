"""Damaged person cards and archives that blow up: each is refused by a ValueError, or is a card."""

import io
import os
import pathlib
import struct
import zipfile

import numpy as np

from benchmarks.measuring.memory import resident_mib
from tf_talking.people.card import PersonCard

_BOMB = 256  # MiB


def attack_cards(folder: pathlib.Path, cards: int, seed: int) -> dict:
    """Reads so many files that are no cards.

    Returns:
      how many of each kind were refused and read, errors of other classes, MiB before and after.
    """
    card = PersonCard(
        "Ada",
        "generator",
        np.zeros(1000, np.float32),
        np.zeros(64, np.float32),
        *("0123456789ab", 64, "mediapipe", "ibug68", "2024-01-02", 8),
    )
    whole = card.save(folder / "whole.npz").read_bytes()
    bomb = _bomb(whole)
    lying = _says_small(bomb)
    makers = {
        "mutated": _mutated,
        "cut": _cut,
        "header": _header,
        "many": _many,
        "bomb": lambda *_: bomb,
        "lying": lambda *_: lying,
    }
    path, counts, bad = folder / "card.npz", {}, []
    before = None
    for number in range(cards + cards // 2):
        if number == cards // 2:  # the rest is warm-up
            counts, before = {}, resident_mib(os.getpid())
        kind = list(makers)[number % len(makers)]
        random = np.random.default_rng([seed, number])
        path.write_bytes(makers[kind](whole, random))
        try:
            PersonCard.load(path)
            outcome = "read"
        except ValueError:
            outcome = "refused"
        except Exception as error:  # the fault that is looked for
            outcome = type(error).__name__
            bad.append({"number": number, "kind": kind, "error": outcome})
        kinds = counts.setdefault(kind, {})
        kinds[outcome] = kinds.get(outcome, 0) + 1
    after = resident_mib(os.getpid())
    return {
        "kinds": counts,
        "not_allowed": bad,
        "memory_mib": [round(before, 1), round(after, 1)],
        "memory_ratio": round(after / before, 3),
    }


def _mutated(whole: bytes, random) -> bytes:
    data = bytearray(whole)
    for _ in range(random.integers(1, 8)):
        data[random.integers(len(data))] = random.integers(256)
    return bytes(data)


def _cut(whole: bytes, random) -> bytes:
    return whole[: random.integers(len(whole))]


def _header(whole: bytes, random) -> bytes:
    """A member whose header claims any shape and type."""
    shape = tuple(int(random.choice([-1, 0, 1, 2**31, 2**62])) for _ in range(random.integers(4)))
    descr = random.choice(["'<f4'", "'|O'", "'<U0'", "'|V0'", "[('a', '<f4')]", "(" * 300])
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    member = b"\x93NUMPY" + bytes([random.integers(1, 4), 0]) + struct.pack("<H", len(text)) + text
    return _replaced(whole, {"adain_params.npy": member + random.bytes(4 * random.integers(3))})


def _many(whole: bytes, random) -> bytes:
    return _replaced(whole, {f"extra.{n}.npy": b"" for n in range(random.integers(60, 3000))})


def _bomb(whole: bytes) -> bytes:
    data = io.BytesIO(whole)
    with zipfile.ZipFile(data, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("extra.bomb.npy", "w") as file:
        for _ in range(_BOMB):
            file.write(bytes(2**20))
    return data.getvalue()


def _says_small(bomb: bytes) -> bytes:
    """The bomb, whose index says that its last member has a thousand bytes."""
    data = bytearray(bomb)
    place = data.rindex(b"PK\x01\x02") + 24
    struct.pack_into("<L", data, place, 1000)
    return bytes(data)


def _replaced(whole: bytes, members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive, zipfile.ZipFile(data, "w") as copy:
        for name in archive.namelist():
            if name not in members:
                copy.writestr(name, archive.read(name))
        for name, value in members.items():
            copy.writestr(name, value)
    return data.getvalue()
