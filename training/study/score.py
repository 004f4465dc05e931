"""The USER figure (paper section 4) from the answers of a user study.

USER is the fraction of triplets in which the fake was found: 1/3 where people can only guess, the
best that a method can reach; 1 where it is always found. Intervals are of 95 %: Wilson's, which
takes all answers as independent, and a bootstrap over participants, which does not.
"""

import dataclasses
import json
import pathlib
from collections import Counter
from collections.abc import Iterable

import numpy as np
import scipy.stats

from tf_talking.metrics.bootstrap import interval
from training.study.page import ANSWERS_FORMAT, KEY_FORMAT

CHANCE = 1 / 3
_RESAMPLES = 9999
_ANSWER = {"triplet": str, "chosen": str, "position": int}


@dataclasses.dataclass(frozen=True)
class Answers:
    """One participant's file: the picture taken for the fake, by triplet."""

    file: str
    study: str
    participant: str
    run: str
    chosen: dict[str, str]
    positions: tuple[int, ...]  # 1 to 3, left to right, in the order of the answers


def read_key(path: pathlib.Path) -> dict:
    """The key that `write_study` wrote. Raises FileNotFoundError or ValueError naming the file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected the key of a study")
    key = _read_json(path)
    if key.get("format") != KEY_FORMAT or not isinstance(key.get("triplets"), dict):
        raise ValueError(f"{path}: format {key.get('format')!r}, expected {KEY_FORMAT!r}")
    return key


def read_answers(path: pathlib.Path, keys: dict[str, dict]) -> Answers:
    """One file of the page.

    Args:
      path: the file.
      keys: study -> key.

    Raises:
      ValueError: no JSON, another format or study, a field missing or of another type, a triplet
        or a picture that the key does not have, or a triplet answered twice; without the file.
    """
    found = _read_json(path)
    if found.get("format") != ANSWERS_FORMAT:
        raise ValueError(f"format: got {found.get('format')!r}, expected {ANSWERS_FORMAT!r}")
    fields = {"study": str, "participant": str, "run": str, "answers": list}
    _check_fields(found, fields, "")
    if found["study"] not in keys:
        raise ValueError(f"study: got {found['study']!r}, the keys are of {sorted(keys)}")
    triplets = keys[found["study"]]["triplets"]
    chosen, positions = {}, []
    for number, answer in enumerate(found["answers"]):
        place = f"answers[{number}]"
        if not isinstance(answer, dict):
            raise ValueError(f"{place}: expected an object")
        _check_fields(answer, _ANSWER, f"{place}.")
        name, image = answer["triplet"], answer["chosen"]
        if name not in triplets:
            raise ValueError(f"{place}.triplet: {name!r} is not in the key")
        if image not in triplets[name]["sources"]:
            raise ValueError(f"{place}.chosen: {image!r} is not of triplet {name!r}")
        if name in chosen:
            raise ValueError(f"{place}.triplet: {name!r} was answered before")
        if answer["position"] not in (1, 2, 3):
            raise ValueError(f"{place}.position: got {answer['position']}, expected 1, 2 or 3")
        chosen[name] = image
        positions.append(answer["position"])
    if not chosen:
        raise ValueError("answers: there are none")
    return Answers(path.name, found["study"], found["participant"], found["run"], chosen, tuple(positions))


def collect(files: Iterable[pathlib.Path], keys: dict[str, dict]) -> tuple[list[Answers], dict[str, str], int]:
    """(answers that count, file -> why it was refused, copies of files that count already).

    A participant counts once in a study: a second file of the name is refused, unless it is the
    same run with the same answers, saved again.
    """
    accepted: dict[tuple[str, str], Answers] = {}
    refused, copies = {}, 0
    for path in files:
        try:
            answers = read_answers(path, keys)
        except ValueError as error:
            refused[str(path)] = str(error)
            continue
        before = accepted.setdefault((answers.study, answers.participant.strip()), answers)
        if before is answers:
            continue
        if (before.run, before.chosen) == (answers.run, answers.chosen):
            copies += 1
        else:
            refused[str(path)] = f"participant: {answers.participant!r} is in {before.file} too"
    return list(accepted.values()), refused, copies


def score(answers: list[Answers], keys: dict[str, dict], seed: int = 0) -> list[dict]:
    """The USER figure of each method and T, as rows sorted by both.

    Args:
      answers: of `collect`, at least one.
      keys: study -> key.
      seed: of the bootstrap.

    Returns:
      Rows {method, t, user, found, n, wilson_95: [low, high], participants, bootstrap_95}; the
      last is None where fewer than two people answered.
    """
    people = sorted({a.participant.strip() for a in answers})  # one may take part in two studies
    found, shown = Counter(), Counter()
    for one in answers:
        triplets = keys[one.study]["triplets"]
        for name, image in one.chosen.items():
            triplet = triplets[name]
            cell = (triplet["method"], triplet["t"] or 0, one.participant.strip())
            shown[cell] += 1
            found[cell] += image == triplet["fake"]
    rows = []
    for method, t in sorted({cell[:2] for cell in shown}):
        counts = [(found[method, t, p], shown[method, t, p]) for p in people]
        counts = np.array([pair for pair in counts if pair[1]])  # [participants, 2]
        rows.append({"method": method, "t": t or None, **_figure(counts, seed)})
    return rows


def _figure(counts: np.ndarray, seed: int) -> dict:
    found, n = (int(total) for total in counts.sum(axis=0))
    wilson = scipy.stats.binomtest(found, n).proportion_ci(0.95, method="wilson")
    return {
        "user": round(found / n, 4),
        "found": found,
        "n": n,
        "wilson_95": _rounded(wilson),
        "participants": len(counts),
        "bootstrap_95": bootstrap(counts, seed) if len(counts) > 1 else None,
    }


def bootstrap(counts: np.ndarray, seed: int) -> list[float]:
    """Percentile interval of 95 % of the fraction found, drawing participants.

    Args:
      counts: [participants, 2]: triplets in which the fake was found, and triplets seen.
      seed: of the draws.
    """

    def found(drawn: np.ndarray) -> np.ndarray:
        sums = drawn.sum(axis=1)  # [resamples, 2]
        return sums[:, 0] / sums[:, 1]

    return _rounded(interval(counts, found, resamples=_RESAMPLES, seed=seed))


def _rounded(interval) -> list[float]:
    return [round(float(bound), 4) for bound in interval]


def _read_json(path: pathlib.Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name}: can not be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: expected a JSON object")
    return found


def _check_fields(found: dict, types: dict[str, type], place: str) -> None:
    for name, kind in types.items():
        if not isinstance(found.get(name), kind):
            raise ValueError(f"{place}{name}: got {found.get(name)!r}, expected {kind.__name__}")
