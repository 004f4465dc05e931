"""What a page says that compares evaluations: checks, means, differences video by video."""

import dataclasses

from training.evaluation.folder import EvaluationFolder, FinishedVideo
from training.evaluation.names import LABELS
from training.evaluation.report import conditions_of_model, left_out_blocks
from training.evaluation.tables import by_figure, by_video, difference_cells, heading_of, total_cell
from training.evaluation.totals import median_seconds, over_all_videos
from training.pages.blocks import Heading, Lines, Table, Text
from training.pages.html import number

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
    """An evaluation that has begun, what to call it, and its finished videos by video_id."""

    name: str
    folder: EvaluationFolder
    facts: dict
    videos: dict[str, FinishedVideo]

    @classmethod
    def parse(cls, text: str) -> "Named":
        """NAME=DIR. Raises ValueError where it is not that, or no evaluation is in DIR."""
        name, separator, path = text.partition("=")
        if not (name and separator and path):
            raise ValueError(f"evaluation: got {text!r}, expected NAME=DIR")
        folder = EvaluationFolder(path)
        facts = folder.read_facts()
        return cls(name, folder, facts, {video.video_id: video for video in folder.read_all()})


def check_comparable(evaluations: list[Named]) -> None:
    """Raises ValueError, naming the evaluation and the field, where figures do not compare."""
    if len(evaluations) < 2:
        raise ValueError(f"evaluation: got {len(evaluations)}, expected at least 2")
    names = [e.name for e in evaluations]
    if len(set(names)) < len(names):
        raise ValueError(f"evaluation: got the names {names}, expected all different")
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
    """(videos that all have finished, video -> why it is left out), in the first one's order.

    Raises:
      ValueError: no video is left, or one was evaluated on other frames.
    """
    first = evaluations[0]
    common, left_out = [], {}
    for name in dict.fromkeys(name for e in evaluations for name in e.videos):
        missing = [e.name for e in evaluations if name not in e.videos]
        if missing:
            left_out[name] = f"not finished in {', '.join(missing)}"
            continue
        expected = _frames_of(first.videos[name], shots)
        for other in evaluations[1:]:
            for what, numbers in _frames_of(other.videos[name], shots).items():
                if numbers != expected[what]:
                    raise ValueError(
                        f"{other.folder.path}: {name}: other {what} than in "
                        f"{first.folder.path}; their figures do not compare"
                    )
        common.append(name)
    if not common:
        raise ValueError("evaluation: there is no video that all of them have finished")
    return common, left_out


def _frames_of(video: FinishedVideo, shots: list[int]) -> dict[str, list[int]]:
    few_shot = {f"few-shot frames at T = {t}": video.shots[t] for t in shots}
    return {"hold-out frames": video.holdout, **few_shot}


def build(evaluations: list[Named]) -> list:
    """The blocks of the page.

    Raises:
      ValueError: the evaluations do not compare, or share no video or no T.
    """
    check_comparable(evaluations)
    first = evaluations[0].facts
    shots = [t for t in first["shots"] if all(t in e.facts["shots"] for e in evaluations)]
    if not shots:
        raise ValueError("evaluation: there is no T that all of them have")
    metrics = [m for m in first["metrics"] if all(m in e.facts["metrics"] for e in evaluations)]
    names, left_out = common_videos(evaluations, shots)
    # What follows is of the common videos only.
    compared = [dataclasses.replace(e, videos={name: e.videos[name] for name in names}) for e in evaluations]
    means, differences = _tables(compared, shots, metrics)
    blocks = [Heading("Evaluations compared", 1), Text(f"{len(names)} videos, data {first['data_hash']}.")]
    for evaluation in evaluations:
        lines = conditions_of_model(evaluation.facts)
        lines.append(f"Folder: {evaluation.folder.path.name}")
        blocks += [Heading(evaluation.name, 3), Lines(lines)]
    blocks += [
        Heading("Means"),
        Text(_NOTE),
        means,
        Heading(f"Differences from {evaluations[0].name}"),
        Text(_DIFFERENCE_NOTE),
        differences,
        Heading("Few-shot learning time"),
        Text("Seconds, median over these videos, on whatever else the machines were doing."),
        _times(compared, shots),
    ]
    return blocks + left_out_blocks("Videos left out", left_out)


def _tables(evaluations: list[Named], shots: list[int], metrics: list[str]) -> tuple[Table, Table]:
    """Means, and differences from the first evaluation, of every method and T."""
    first, names = evaluations[0], list(evaluations[0].videos)
    videos = {e.name: list(e.videos.values()) for e in evaluations}
    figures = {
        e.name: by_figure(
            [row for video in videos[e.name] for row in video.rows] + over_all_videos(videos[e.name], e.facts, metrics)
        )
        for e in evaluations
    }
    means, differences = [], []
    for t in shots:
        for method in LABELS:
            label = f"{LABELS[method]} ({t})"
            having = [e for e in evaluations if method in e.facts["methods"]]
            cells = {e.name: [total_cell(figures[e.name][method, t, m, None]) for m in metrics] for e in having}
            own = list(cells.values())
            if len(having) == len(evaluations) and all(row == own[0] for row in own):
                means.append([label, "each", *own[0]])  # what the evaluations share
                continue
            means += [[label, name, *row] for name, row in cells.items()]
            for other in having[1:] if first in having else ():
                pair = (figures[first.name], method), (figures[other.name], method)
                row = difference_cells(*pair, t, by_video(metrics), names, first.facts["seed"])
                differences.append([label, other.name, *row])
    header = ["method (T)", "evaluation"]
    return (
        Table([*header, *map(heading_of, metrics)], means),
        Table([*header, *map(heading_of, by_video(metrics))], differences),
    )


def _times(evaluations: list[Named], shots: list[int]) -> Table:
    rows = {f"{e.name}, T = {t}": median_seconds(list(e.videos.values()), t) for e in evaluations for t in shots}
    seen = list(dict.fromkeys(method for own in rows.values() for method in own))
    return Table(
        ["evaluation", *(LABELS[method] for method in seen)],
        [[name, *(number(own.get(method)) for method in seen)] for name, own in rows.items()],
    )
