"""Frames and a page for the tests of the user study, and participants who answer."""

import json
import pathlib

import numpy as np

from training.study.frames import generated_folder, read_people, real_folder, save_frames
from training.study.page import ANSWERS_FORMAT, write_study
from training.study.triplets import draw_triplets

SEQUENCES = ("a", "b", "c", "d")
FRAMES = 6  # of each sequence


def make_frames(folder: pathlib.Path, people: int = 2, size: int = 32) -> pathlib.Path:
    """Real frames of all sequences, generated ones of "a" and "b" by FT (T = 1, 8) and other."""
    rng = np.random.default_rng(0)

    def frames(count):
        return rng.integers(0, 255, (count, size, size, 3), dtype=np.uint8)

    for person in range(people):
        for sequence in SEQUENCES:
            path = real_folder(folder, f"person {person}", sequence)
            save_frames(path, frames(FRAMES), range(FRAMES))
        for method, t in (("FT", 1), ("FT", 8), ("other", 0)):
            for sequence in SEQUENCES[:2]:
                path = generated_folder(folder, f"person {person}", method, t, sequence)
                save_frames(path, frames(3), range(3))
    return folder


def make_study(folder: pathlib.Path, per_condition: int = 3):
    """(page, key file, key) of that many triplets of each of three conditions."""
    triplets = draw_triplets(read_people(make_frames(folder / "frames")), per_condition, seed=0)
    page, key = folder / "new" / "page", folder / "new" / "page.key.json"
    return page, key, write_study(triplets, page, key, "Faces & <fakes>", seed=0)


def answers_of(key: dict, participant: str, right, run: str = "") -> dict:
    """What the page would save for someone who finds the fake where `right(triplet)` is true."""
    answers = []
    for name, triplet in key["triplets"].items():
        wrong = next(image for image in triplet["sources"] if image != triplet["fake"])
        chosen = triplet["fake"] if right(triplet) else wrong
        answers.append({"triplet": name, "chosen": chosen, "position": 1, "seconds": 2.5})
    return {
        "format": ANSWERS_FORMAT,
        "study": key["study"],
        "participant": participant,
        "run": run or f"run of {participant}",
        "started": "2026-01-01T10:00:00.000Z",
        "finished": "2026-01-01T10:09:00.000Z",
        "answers": answers,
    }


def write_json(path: pathlib.Path, value) -> pathlib.Path:
    """Writes it and returns the path."""
    path.write_text(json.dumps(value))
    return path
