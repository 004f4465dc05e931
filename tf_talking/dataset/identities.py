"""Who is who in datasets, by the embeddings that preprocessing stored beside the frames.

Names of identities come from file names and lists, and those err: one person under two names, in
one dataset or in two, and two people under one name. Cosines of SFace's embeddings tell: among
10,000 news photos of 5,818 people, pairs of identities are one person above 0.6 and hardly ever
below 0.5; pictures under one right name seldom agree by less than 0.35.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from tf_talking.dataset.folder import DatasetFolder
from tf_talking.dataset.records import VIDEO

_ROWS = 1024  # identities compared with all others at once


@dataclasses.dataclass(frozen=True)
class SamePerson:
    """Two identities that look like one person; cosine of their mean embeddings."""

    identity: str
    other: str
    cosine: float


@dataclasses.dataclass(frozen=True)
class DifferentPeople:
    """An identity whose videos or photos do not agree; median cosine of two of them."""

    identity: str
    cosine: float


def stored_embeddings(folders: Iterable[DatasetFolder]) -> dict[str, np.ndarray]:
    """Identity → float32 [n, I], unit length: the mean of each video, each photo by itself.

    Raises:
      ValueError: a folder without stored embeddings.
    """
    found: dict[str, list[np.ndarray]] = {}
    for folder in folders:
        if folder.info.borrowed_identity == "none":
            raise ValueError(
                f"{folder.path}: no embeddings are stored beside the frames; preprocess again with "
                "--borrowed_identity=sface"
            )
        for entry in folder.accepted:
            record = folder.read_video(entry.video_id)
            vectors = _unit(record.identity_vectors)
            if record.kind == VIDEO:
                vectors = _unit(vectors.mean(axis=0, keepdims=True))
            found.setdefault(entry.identity, []).append(vectors)
    return {identity: np.concatenate(vectors) for identity, vectors in found.items()}


def same_people(embeddings: dict[str, np.ndarray], least: float) -> list[SamePerson]:
    """Pairs of identities with a cosine of at least `least`, the most alike first."""
    names = list(embeddings)
    means = np.stack([_unit(vectors.mean(axis=0, keepdims=True))[0] for vectors in embeddings.values()])
    pairs = []
    for start in range(0, len(names), _ROWS):
        cosines = means[start : start + _ROWS] @ means.T
        for row, column in np.argwhere(cosines >= least):
            if start + row < column:
                pairs.append(SamePerson(names[start + row], names[column], float(cosines[row, column])))
    return sorted(pairs, key=lambda pair: -pair.cosine)


def different_people(embeddings: dict[str, np.ndarray], most: float) -> list[DifferentPeople]:
    """Identities whose pictures' median cosine is below `most`, the least alike first."""
    found = []
    for identity, vectors in embeddings.items():
        if len(vectors) > 1:
            cosine = float(np.median((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]))
            if cosine < most:
                found.append(DifferentPeople(identity, cosine))
    return sorted(found, key=lambda one: one.cosine)


def to_leave_out(
    keep_out: Sequence[str], same: Sequence[SamePerson], different: Sequence[DifferentPeople]
) -> list[str]:
    """Who must not be trained on: those to keep out, whoever is one of them, and mixed ones."""
    left_out = dict.fromkeys(keep_out)
    grown = True
    while grown:
        size = len(left_out)
        for pair in same:
            if pair.identity in left_out or pair.other in left_out:
                left_out |= {pair.identity: None, pair.other: None}
        grown = len(left_out) > size
    return [*left_out, *(one.identity for one in different if one.identity not in left_out)]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
