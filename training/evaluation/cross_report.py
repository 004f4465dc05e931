"""The report's section on cross-reenactment: who drives whom best."""

import pathlib

import numpy as np

from training.evaluation.folder import FinishedVideo
from training.evaluation.names import LABELS, ranking_method, shown_methods
from training.evaluation.tables import mean_cell
from training.pages.blocks import Heading, Picture, Table, Text
from training.pages.html import number

_NOTE = (
    "Each person, learnt from T = {shots} frame(s), is driven by the landmarks of other people; "
    "there is no ground truth. CSIM compares the source frame with the generated ones. Driving "
    "videos are ranked by it, as in the paper's puppeteering, which finds people of similar "
    "geometry; pictures show the best ones, two frames each."
)


def cross_blocks(folder: pathlib.Path, facts: dict, videos: list[FinishedVideo]) -> list:
    """Blocks of the section: a summary, then ranking and pictures of each person.

    Args:
      folder: of the evaluation.
      facts: of evaluation.json.
      videos: people, with or without rows of cross-reenactment.
    """
    methods = shown_methods(facts["methods"])
    driven = [video for video in videos if video.cross]
    if not driven:
        return []
    blocks = [
        Heading("Cross-reenactment"),
        Text(_NOTE.format(shots=min(facts["shots"]))),
        _summary(driven, methods, facts["seed"]),
    ]
    for video in driven:
        path = video.path / "cross.png"
        columns = ["source", "driver", "landmarks", *(LABELS[m] for m in methods)]
        blocks += [
            Heading(video.video_id, 3),
            Picture(path, path.relative_to(folder), columns),
            _ranking(video.cross, methods),
        ]
    return blocks


def _ranking(rows: list[dict], methods: list[str]) -> Table:
    ranked_by = ranking_method(methods)
    values = {(r["method"], r["driver"]): r["value"] for r in rows}
    drivers = dict.fromkeys(r["driver"] for r in rows)
    return Table(
        ["driver", *(f"CSIM↑ {LABELS[m]}" for m in methods)],
        [
            [driver, *(number(values[m, driver]) for m in methods)]
            for driver in sorted(drivers, key=lambda driver: -values[ranked_by, driver])
        ],
        folded=f"Drivers, ranked by {LABELS[ranked_by]}",
    )


def _summary(videos: list[FinishedVideo], methods: list[str], seed: int) -> Table:
    """Means over people of their best driver's CSIM and of all drivers' mean."""
    table = []
    for method in methods:
        own = [[r["value"] for r in video.cross if r["method"] == method] for video in videos]
        best, mean = ([take(values) for values in own] for take in (max, np.mean))
        table.append([LABELS[method], mean_cell(best, seed), mean_cell(mean, seed)])
    return Table(["method", "CSIM↑ of the best driver", "CSIM↑ of all drivers"], table)
