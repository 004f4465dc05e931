"""The report's section on cross-reenactment: who drives whom best."""

import math

import numpy as np

from training.evaluation.bootstrap import mean_interval
from training.evaluation.cross import ranking_method
from training.evaluation.folder import EvaluationFolder
from training.evaluation.methods import LABELS
from training.evaluation.strips import strip_methods
from training.pages.blocks import Heading, Picture, Table, Text, number

_NOTE = (
    "Each person, learnt from T = {shots} frame(s), is driven by the landmarks of other people; "
    "there is no ground truth. CSIM compares the source frame with the generated ones. Driving "
    "videos are ranked by it, as in the paper's puppeteering, which finds people of similar "
    "geometry; pictures show the best ones, two frames each."
)


def cross_blocks(folder: EvaluationFolder, facts: dict, video_ids: list[str]) -> list:
    """Blocks of the section: a summary, then ranking and pictures of each person."""
    methods = strip_methods(facts["methods"])
    ranked_by = ranking_method(methods)
    rows = {v: folder.read_lines(v, "cross.jsonl") for v in video_ids}
    rows = {v: own for v, own in rows.items() if own}
    if not rows:
        return []
    blocks = [
        Heading("Cross-reenactment"),
        Text(_NOTE.format(shots=min(facts["shots"]))),
        _summary(rows, methods, facts["seed"]),
    ]
    for video_id, own in rows.items():
        values = {(r["method"], r["driver"]): r["value"] for r in own}
        drivers = sorted(
            dict.fromkeys(r["driver"] for r in own), key=lambda d: -values[ranked_by, d]
        )
        path = folder.video(video_id) / "cross.png"
        columns = ["source", "driver", "landmarks", *(LABELS[m] for m in methods)]
        blocks += [
            Heading(video_id, 3),
            Picture(path, path.relative_to(folder.path), columns),
            Table(
                ["driver", *(f"CSIM↑ {LABELS[m]}" for m in methods)],
                [[d, *(number(values[m, d]) for m in methods)] for d in drivers],
                folded=f"Drivers, ranked by {LABELS[ranked_by]}",
            ),
        ]
    return blocks


def _summary(rows: dict[str, list[dict]], methods: list[str], seed: int) -> Table:
    """Means over people of their best driver's CSIM and of all drivers' mean."""
    table = []
    for method in methods:
        own = [[r["value"] for r in lines if r["method"] == method] for lines in rows.values()]
        cells = []
        for values in (np.array([max(o) for o in own]), np.array([np.mean(o) for o in own])):
            low, high = mean_interval(values, seed=seed)
            interval = "" if math.isnan(low) else f" [{number(low)}, {number(high)}]"
            cells.append(f"{number(float(values.mean()))}{interval}")
        table.append([LABELS[method], *cells])
    return Table(["method", "CSIM↑ of the best driver", "CSIM↑ of all drivers"], table)
