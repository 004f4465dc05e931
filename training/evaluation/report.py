"""What the report of an evaluation says: the paper's Table 1 with ours, as blocks for
`evaluation_page.py`, which writes them as Markdown or HTML.
"""

import math
import pathlib
from collections.abc import Callable

import numpy as np

from tf_talking.metrics import registry
from training.evaluation.bootstrap import mean_interval
from training.evaluation.cross_report import cross_blocks
from training.evaluation.curves import curve_blocks
from training.evaluation.folder import EvaluationFolder
from training.evaluation.methods import BEFORE, FF, FT, KNEE, LABELS, NEAREST, PSI
from training.evaluation.strips import strip_methods
from training.pages.blocks import Heading, Lines, Picture, Table, Text, number, to_html, to_markdown

# Table 1 of the paper: (method, T) → row's name, FID, SSIM, CSIM, USER.
PAPER = {
    (FF, 1): [("VoxCeleb2, Ours-FF (1)", 46.1, 0.61, 0.42, 0.43)],
    (FF, 8): [("VoxCeleb2, Ours-FF (8)", 42.2, 0.64, 0.47, 0.40)],
    (FF, 32): [("VoxCeleb2, Ours-FF (32)", 40.4, 0.65, 0.48, 0.38)],
    (FT, 1): [
        ("VoxCeleb2, Ours-FT (1)", 48.5, 0.64, 0.35, 0.46),
        ("VoxCeleb1, Ours (1)", 43.0, 0.67, 0.15, 0.62),
    ],
    (FT, 8): [
        ("VoxCeleb2, Ours-FT (8)", 42.2, 0.68, 0.42, 0.39),
        ("VoxCeleb1, Ours (8)", 38.0, 0.71, 0.17, 0.62),
    ],
    (FT, 32): [
        ("VoxCeleb2, Ours-FT (32)", 30.6, 0.72, 0.45, 0.33),
        ("VoxCeleb1, Ours (32)", 29.5, 0.74, 0.19, 0.61),
    ],
}
PAPER_METRICS = ("fid", "ssim", "csim")
_PAIRS = ((NEAREST, FF), (FF, FT), (NEAREST, FT), (FT, KNEE), (FF, PSI))
_NAMES = {
    "fid": "FID-768",
    "ssim": "SSIM",
    "csim": "CSIM",
    "l1": "L1",
    "face_l1": "L1 of the face",
    "psnr": "PSNR, dB",
    "perceptual": "deep features",
    "landmark_error": "landmark error",
    "flicker": "flicker",
}


def heading_of(metric: str) -> str:
    """Its name for people, with the paper's arrow for the better direction."""
    arrow = "↑" if registry.get(metric).higher_is_better else "↓"
    return _NAMES.get(metric, metric) + arrow


def build_blocks(
    folder: EvaluationFolder,
    facts: dict,
    totals: list[dict],
    video_ids: list[str],
    left_out: dict[str, str],
) -> list:
    """The report.

    Args:
      folder: with all of `video_ids` finished.
      facts: of evaluation.json.
      totals: lines over all videos.
      video_ids: in the order of the report.
      left_out: video_id → why it was not evaluated.
    """
    rows = [row for video_id in video_ids for row in folder.read_lines(video_id)]
    blocks = [Heading("Self-reenactment", 1), Lines(_conditions(facts, folder, video_ids))]
    blocks += [Heading("Table 1"), Text(_TABLE_NOTE), _main_table(facts, totals)]
    blocks += [Heading("Differences, video by video"), Text(_PAIR_NOTE), _pair_table(facts, rows)]
    blocks += [Heading("Few-shot learning time"), *_times(folder, facts, video_ids)]
    blocks += curve_blocks(folder, facts, video_ids, heading_of)
    blocks += [Heading("Videos"), Text(_strip_note(facts))]
    for video_id in video_ids:
        identity = folder.read_frames(video_id)["identity"]
        path = folder.video(video_id) / "strip.png"
        blocks += [
            Heading(f"{video_id} (identity {identity})", 3),
            Picture(path, path.relative_to(folder.path), strip_columns(facts)),
            _video_table(facts, [row for row in rows if row["video"] == video_id]),
        ]
    if facts["cross"]["drivers"]:
        blocks += cross_blocks(folder, facts, video_ids)
    if left_out:
        blocks.append(Heading("Videos left out"))
        blocks.append(Lines([f"{video_id}: {reason}" for video_id, reason in left_out.items()]))
    return blocks


_TABLE_NOTE = (
    "Each figure is the mean over videos, in brackets the 95 % bootstrap interval over videos. The "
    "paper's rows stand below ours for orientation: they come from other videos, 256 (VoxCeleb1) "
    "and 224 (VoxCeleb2) pixels, another face recogniser and a far longer training. FID-768 uses "
    "768 Inception features and does not compare with the paper's FID of 2048; at few frames it is "
    "biased upwards, so compare rows of equal n only. USER needs people: see the user study."
)
_PAIR_NOTE = (
    "Mean difference of two methods on the same video, in brackets its 95 % bootstrap interval "
    "over videos, and in how many videos the second is better."
)
_FEW_SHOT = {
    "same": "evenly over the part of the video before the cut",
    "other": "evenly over another video of the person",
}


def conditions_of_model(facts: dict) -> list[str]:
    """Whose results these are, of evaluation.json: checkpoint, losses, how it was fine-tuned."""
    config = facts["config"]
    epochs = ", ".join(f"{LABELS[m]} {n}" for m, n in facts["epochs"].items())
    return [
        f"Model: {facts['checkpoint']}, step {facts['step']:,}, config {config['name']} "
        f"({facts['config_hash']}), {config['model']['image_size']} pixels",
        f"Content loss: {', '.join(facts['content'].values()) or 'no network'}",
        f"Fine-tuning epochs: {epochs or 'none'}; in {facts['precision']}",
        f"Config changed for fine-tuning: {', '.join(facts['override']) or 'nothing'}",
    ]


def _budget(facts: dict) -> str:
    training = facts["training"]
    begun = ""
    if training["start_from"]:
        source = training["start_from"]
        begun = f", begun from {source['checkpoint']} of another run (its step {source['step']:,})"
    seen = {
        True: "all evaluated identities were kept out of that training",
        False: "NOT all evaluated identities were kept out of that training: these figures do not "
        "tell how it does on new people",
        None: "whether the evaluated identities were kept out of training is not known",
    }[training["held_out"]]
    return (
        f"Training budget: {facts['step']:,} steps of {training['batch_size']} episodes, K = "
        f"{training['k_shot']}{begun}, on {training['num_videos'] or 'an unknown number of'} "
        f"videos; {seen}"
    )


def _conditions(facts: dict, folder: EvaluationFolder, video_ids: list[str]) -> list[str]:
    who = {folder.read_frames(v)["identity"] for v in video_ids}
    model, *tuning = conditions_of_model(facts)
    lines = [
        model,
        _budget(facts),
        *tuning,
        f"Evaluated on: {facts['dataset']} (data {facts['data_hash']}), {len(video_ids)} videos of "
        f"{len(who)} people, {facts['holdout_frames']} hold-out frames each, seed {facts['seed']}",
        f"Frames: few-shot frames {_FEW_SHOT[facts['few_shot_from']]}; hold-out frames "
        f"({facts['holdout_order']}) behind a cut in the middle of the video, the same ones for "
        "every T; the two never overlap",
    ]
    if BEFORE in facts["methods"] and facts["before_equals_ff"]:
        lines.append("FT before fine-tuning equals FF (eq. 5 and 8): checked on every video and T")
    for metric, source in facts["metric_sources"].items():
        lines.append(f"{heading_of(metric)[:-1]}: {source}")
    for metric, reason in facts["metrics_left_out"].items():
        lines.append(f"Not measured: {heading_of(metric)[:-1]}, since {reason}")
    return lines


def _main_table(facts: dict, totals: list[dict]) -> Table:
    metrics = facts["metrics"]
    found = {(r["method"], r["shots"], r["metric"]): r for r in totals}
    rows = []
    for shots in facts["shots"]:
        for method in facts["methods"]:
            own = [found[method, shots, metric] for metric in metrics]
            n = max((r["n"] for r in own), default=0)
            rows.append([f"{LABELS[method]} ({shots})", *map(interval_cell, own), "–", str(n)])
            for name, *figures in PAPER.get((method, shots), []):
                known = dict(zip((*PAPER_METRICS, "user"), figures, strict=True))
                cells = [number(known.get(metric)) for metric in (*metrics, "user")]
                rows.append([f"paper: {name}", *cells, "1600"])
    return Table(["method (T)", *map(heading_of, metrics), "USER↓", "n"], rows)


def interval_cell(row: dict) -> str:
    """Value of a line over all videos, its interval, and frames that could not be measured."""
    missing = f" ({row['missing']} frames without)" if row["missing"] else ""
    interval = ""
    if not math.isnan(row["low"]):
        interval = f" [{number(row['low'])}, {number(row['high'])}]"
    return f"{number(row['value'])}{interval}{missing}"


def _pair_table(facts: dict, rows: list[dict]) -> Table:
    metrics = [m for m in facts["metrics"] if m != "fid"]
    values = {(r["method"], r["shots"], r["metric"], r["video"]): r["value"] for r in rows}
    videos = list(dict.fromkeys(r["video"] for r in rows))
    table = []
    for shots in facts["shots"]:
        for first, second in _PAIRS:
            if not {first, second} <= set(facts["methods"]):
                continue
            cells = []
            for metric in metrics:
                a, b = (
                    np.array([values[method, shots, metric, v] for v in videos])
                    for method in (first, second)
                )
                with np.errstate(invalid="ignore"):  # two infinite PSNRs
                    cells.append(difference_cell(metric, b - a, facts["seed"]))
            table.append([f"{LABELS[second]} − {LABELS[first]} ({shots})", *cells])
    return Table(["difference (T)", *map(heading_of, metrics)], table)


def difference_cell(metric: str, difference: np.ndarray, seed: int) -> str:
    """Mean of differences float64 [V], NaN where unknown, its interval, how many are better."""
    known = difference[~np.isnan(difference)]
    if not len(known):
        return "–"
    low, high = mean_interval(known, seed=seed)
    better = (known > 0) if registry.get(metric).higher_is_better else (known < 0)
    interval = "" if math.isnan(low) else f" [{low:+.3g}, {high:+.3g}]"
    return f"{known.mean():+.3g}{interval}, {better.sum()}/{len(known)}"


def _times(folder: EvaluationFolder, facts: dict, video_ids: list[str]) -> list:
    seconds = [folder.read_frames(video_id)["seconds"] for video_id in video_ids]
    methods = [m for m in facts["methods"] if m in seconds[0][str(facts["shots"][0])]]
    rows = []
    for shots in facts["shots"]:
        cells = [f"{np.median([s[str(shots)][m] for s in seconds]):.3g}" for m in methods]
        rows.append([str(shots), *cells])
    note = (
        "Seconds, median over videos, on whatever else the machine was doing; the first video's "
        "include tracing. The paper's Table 2 is another measurement."
    )
    return [Text(note), Table(["T", *(LABELS[m] for m in methods)], rows)]


def _video_table(facts: dict, rows: list[dict]) -> Table:
    metrics = [m for m in facts["metrics"] if m != "fid"]
    found = {(r["method"], r["shots"], r["metric"]): r for r in rows}
    return Table(
        ["method (T)", *map(heading_of, metrics)],
        [
            [f"{LABELS[m]} ({t})", *(number(found[m, t, metric]["value"]) for metric in metrics)]
            for t in facts["shots"]
            for m in facts["methods"]
        ],
        folded="Figures of this video",
    )


def strip_columns(facts: dict) -> list[str]:
    """Headings of a strip's columns."""
    own = [LABELS[method] for method in strip_methods(facts["methods"])]
    return ["source", "landmarks", "ground truth", *own]


def _strip_note(facts: dict) -> str:
    rows = ", ".join(f"T = {t}" for t in facts["shots"])
    return f"Rows from top to bottom: {rows}, two hold-out frames each."


def write_reports(blocks: list, path: pathlib.Path, write: Callable, name: str = "report") -> None:
    """NAME.md and NAME.html in the folder `path`, by `write(path, text)`."""
    write(path / f"{name}.md", to_markdown(blocks))
    write(path / f"{name}.html", to_html(blocks, blocks[0].text))
