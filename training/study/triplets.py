"""Triplets of a user study (paper section 4): two real frames and a generated one of one person.

The three come from three different video sequences. Each picture is used once: one seen a second
time would be known as real.
"""

import dataclasses
import itertools
import pathlib
import random

from training.study.frames import Condition, Person


@dataclasses.dataclass(frozen=True)
class Triplet:
    """Files of two real frames and a generated one, and where it comes from."""

    person: str
    condition: Condition
    real: tuple[pathlib.Path, pathlib.Path]
    fake: pathlib.Path


def conditions_of(people: list[Person]) -> list[Condition]:
    """All conditions, sorted by method and T."""
    return sorted({condition for person in people for condition in person.generated})


def draw_triplets(people: list[Person], per_condition: int, seed: int) -> list[Triplet]:
    """`per_condition` triplets of each condition, spread evenly over the people.

    Args:
      people: of `read_people`.
      per_condition: triplets of each method and T.
      seed: decides which frames meet.

    Raises:
      ValueError: a person lacks a condition that another has (figures would be of different
        people), or there are too few frames; says how many triplets they are enough for.
    """
    conditions = conditions_of(people)
    for person in people:
        for condition in conditions:
            if condition not in person.generated:
                raise ValueError(
                    f"{person.name}/generated: no {condition.folder}, which others have; "
                    "expected the same methods for everybody"
                )
    rng = random.Random(seed)
    stock = {person.name: _shuffled(person.real, rng) for person in people}
    queues = {condition: _queue(people, condition, rng) for condition in conditions}
    triplets = []
    # Round by round, so that no condition takes the real frames of another.
    for done in range(per_condition):
        for condition in conditions:
            triplet = _next(queues[condition], condition, stock, rng)
            if triplet is None:
                raise ValueError(
                    f"{condition.folder}: frames are enough for {done} triplets, asked for are "
                    f"{per_condition}; each needs a generated frame and real frames of two other "
                    "sequences of the person, none used twice"
                )
            triplets.append(triplet)
    return triplets


def _shuffled(real: dict[str, list[pathlib.Path]], rng) -> dict[str, list[pathlib.Path]]:
    return {sequence: rng.sample(files, len(files)) for sequence, files in real.items()}


def _queue(people: list[Person], condition: Condition, rng) -> list[tuple[str, str, pathlib.Path]]:
    """(person, sequence, file) of all generated frames; in turn from each person."""
    columns = []
    for person in rng.sample(people, len(people)):
        sequences = person.generated[condition].items()
        column = [(person.name, name, file) for name, files in sequences for file in files]
        columns.append(rng.sample(column, len(column)))
    rows = itertools.zip_longest(*columns)
    return [entry for row in rows for entry in row if entry is not None]


def _next(queue, condition: Condition, stock, rng) -> Triplet | None:
    """The next generated frame for which two real ones are left; takes all three."""
    while queue:
        person, sequence, fake = queue.pop(0)
        left = [name for name, files in stock[person].items() if files and name != sequence]
        if len(left) < 2:
            continue
        # The fullest first (chance decides between equals), or one sequence would soon be left.
        rng.shuffle(left)
        left.sort(key=lambda name: -len(stock[person][name]))
        first, second = (stock[person][name].pop() for name in left[:2])
        return Triplet(person, condition, (first, second), fake)
    return None
