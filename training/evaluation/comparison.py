"""What a page says that compares evaluations: checks, means, differences video by video."""

import dataclasses

import numpy as np

from training.evaluation.folder import EvaluationFolder, over_all_videos, parse_line
from training.evaluation.methods import LABELS
from training.evaluation.report import (
    conditions_of_model,
    difference_cell,
    heading_of,
    interval_cell,
)
from training.pages.blocks import Heading, Lines, Table, Text, number

# Facts that must agree: otherwise two figures do not measure the same.
_SAME = ("data_hash", "holdout_frames", "holdout_order", "few_shot_from")
_NOTE = (
    "Means over the videos that every evaluation has finished, in brackets the 95 % bootstrap "
    "interval over videos; FID from the features of all their frames. A method that draws the same "
    "in every evaluation stands there once."
)
_DIFFERENCE_NOTE = (
    "Mean difference on the same video, in brackets its 95 % bootstrap interval over videos, and "
    "in how many videos the named evaluation is better than the first."
)


@dataclasses.dataclass(frozen=True)
class Named:
    """An evaluation that has begun, and what to call it."""

    name: str
    folder: EvaluationFolder
    facts: dict

    @classmethod
    def parse(cls, text: str) -> "Named":
        """NAME=DIR. Raises ValueError where it is not that, or no evaluation is in DIR."""
        name, separator, path = text.partition("=")
        if not (name and separator and path):
            raise ValueError(f"--evaluation: got {text!r}, expected NAME=DIR")
        folder = EvaluationFolder(path)
        return cls(name, folder, folder.read_facts())


def check_comparable(evaluations: list[Named]) -> None:
    """Raises ValueError, naming the evaluation and the field, where figures do not compare."""
    if len(evaluations) < 2:
        raise ValueError(f"--evaluation: got {len(evaluations)}, expected at least 2")
    names = [e.name for e in evaluations]
    if len(set(names)) < len(names):
        raise ValueError(f"--evaluation: got the names {names}, expected all different")
    first = evaluations[0]
    for other in evaluations[1:]:
        for field in _SAME:
            if other.facts[field] != first.facts[field]:
                raise ValueError(
                    f"{other.folder.path}: {field} is {other.facts[field]!r}, in "
                    f"{first.folder.path} {first.facts[field]!r}; their figures do not compare"
                )
        sources = other.facts["metric_sources"]
        for metric, source in first.facts["metric_sources"].items():
            if sources.get(metric, source) != source:
                raise ValueError(
                    f"{other.folder.path}: {metric} comes from {sources[metric]}, in "
                    f"{first.folder.path} from {source}; their figures do not compare"
                )


def common_videos(evaluations: list[Named], shots: list[int]) -> tuple[list[str], dict[str, str]]:
    """(videos that all have finished, video → why it is left out), in the first one's order.

    Raises:
      ValueError: no video is left, or one was evaluated on other frames.
    """
    frames = [e.folder.finished() for e in evaluations]
    every = list(dict.fromkeys(video for own in frames for video in own))
    common, left_out = [], {}
    for video in every:
        missing = [e.name for e, own in zip(evaluations, frames, strict=True) if video not in own]
        if missing:
            left_out[video] = f"not finished in {', '.join(missing)}"
            continue
        for evaluation, own in zip(evaluations, frames, strict=True):
            for what in ("holdout", *(("shots", str(t)) for t in shots)):
                if _pick(own[video], what) != _pick(frames[0][video], what):
                    raise ValueError(
                        f"{evaluation.folder.path}: {video}: other {_name(what)} than in "
                        f"{evaluations[0].folder.path}; their figures do not compare"
                    )
        common.append(video)
    if not common:
        raise ValueError("--evaluation: there is no video that all of them have finished")
    return common, left_out


def _pick(frames: dict, what):
    return frames[what] if isinstance(what, str) else frames[what[0]][what[1]]


def _name(what) -> str:
    return "hold-out frames" if isinstance(what, str) else f"few-shot frames at T = {what[1]}"


def build(evaluations: list[Named]) -> list:
    """The blocks of the page.

    Raises:
      ValueError: the evaluations do not compare, or share no video or no T.
    """
    check_comparable(evaluations)
    first = evaluations[0].facts
    shots = [t for t in first["shots"] if all(t in e.facts["shots"] for e in evaluations)]
    if not shots:
        raise ValueError("--evaluation: there is no T that all of them have")
    metrics = [m for m in first["metrics"] if all(m in e.facts["metrics"] for e in evaluations)]
    videos, left_out = common_videos(evaluations, shots)
    totals = [
        {
            (row["method"], row["shots"], row["metric"]): row
            for row in map(parse_line, over_all_videos(e.folder, videos, e.facts, metrics))
        }
        for e in evaluations
    ]
    values = {
        e.name: {
            (row["method"], row["shots"], row["metric"], row["video"]): row["value"]
            for video in videos
            for row in e.folder.read_lines(video)
        }
        for e in evaluations
    }
    rows, differences = [], []
    for t in shots:
        for method in LABELS:
            having = [e for e in evaluations if method in e.facts["methods"]]
            own = [
                [
                    f"{LABELS[method]} ({t})",
                    e.name,
                    *(interval_cell(found[method, t, m]) for m in metrics),
                ]
                for e, found in zip(evaluations, totals, strict=True)
                if e in having
            ]
            if len(own) == len(evaluations) and all(row[2:] == own[0][2:] for row in own):
                rows.append([own[0][0], "each", *own[0][2:]])  # what the evaluations share
                continue
            rows += own
            if having[:1] == evaluations[:1]:
                differences += _differences(having, values, method, t, metrics, videos)
    compared = [m for m in metrics if m != "fid"]
    blocks = [
        Heading("Evaluations compared", 1),
        Text(f"{len(videos)} videos, data {first['data_hash']}."),
    ]
    for evaluation in evaluations:
        lines = conditions_of_model(evaluation.facts)
        lines.append(f"Folder: {evaluation.folder.path.name}")
        blocks += [Heading(evaluation.name, 3), Lines(lines)]
    blocks += [
        Heading("Means"),
        Text(_NOTE),
        Table(["method (T)", "evaluation", *map(heading_of, metrics)], rows),
        Heading(f"Differences from {evaluations[0].name}"),
        Text(_DIFFERENCE_NOTE),
        Table(["method (T)", "evaluation", *map(heading_of, compared)], differences),
        Heading("Few-shot learning time"),
        Text("Seconds, median over these videos, on whatever else the machines were doing."),
        _times(evaluations, shots, videos),
    ]
    if left_out:
        lines = [f"{video}: {reason}" for video, reason in left_out.items()]
        blocks += [Heading("Videos left out"), Lines(lines)]
    return blocks


def _differences(having, values, method, shots, metrics, videos) -> list[list[str]]:
    table = []
    for evaluation in having[1:]:
        cells = []
        for metric in metrics:
            if metric != "fid":
                a, b = (
                    np.array([values[e.name][method, shots, metric, video] for video in videos])
                    for e in (having[0], evaluation)
                )
                with np.errstate(invalid="ignore"):  # two infinite PSNRs
                    cells.append(difference_cell(metric, b - a, having[0].facts["seed"]))
        table.append([f"{LABELS[method]} ({shots})", evaluation.name, *cells])
    return table


def _times(evaluations: list[Named], shots: list[int], videos: list[str]) -> Table:
    rows, seen = [], []
    for evaluation in evaluations:
        frames = evaluation.folder.finished()
        for t in shots:
            seconds = [frames[video]["seconds"][str(t)] for video in videos]
            seen += [m for m in seconds[0] if m not in seen]
            rows.append((evaluation.name, t, seconds))
    table = []
    for name, t, seconds in rows:
        cells = [
            number(float(np.median([s[m] for s in seconds]))) if m in seconds[0] else "–"
            for m in seen
        ]
        table.append([f"{name}, T = {t}", *cells])
    return Table(["evaluation", *(LABELS[m] for m in seen)], table)
