"""What the report of an evaluation says: the paper's Table 1 with ours, as blocks for
`pages/blocks.py`, which writes them as Markdown or HTML.
"""

import pathlib

from tf_talking.files import write_whole
from training.evaluation.cross_report import cross_blocks
from training.evaluation.curves import curve_blocks
from training.evaluation.folder import EvaluationFolder, FinishedVideo
from training.evaluation.names import BEFORE, FF, FT, KNEE, LABELS, NEAREST, PSI, shown_methods
from training.evaluation.tables import by_figure, by_video, difference_cells, heading_of, total_cell
from training.evaluation.totals import median_seconds
from training.pages.blocks import Heading, Lines, Picture, Table, Text, to_html, to_markdown
from training.pages.html import number

# Table 1 of the paper: (method, T) -> row's name, FID, SSIM, CSIM, USER.
PAPER = {
    (FF, 1): [("VoxCeleb2, Ours-FF (1)", 46.1, 0.61, 0.42, 0.43)],
    (FF, 8): [("VoxCeleb2, Ours-FF (8)", 42.2, 0.64, 0.47, 0.40)],
    (FF, 32): [("VoxCeleb2, Ours-FF (32)", 40.4, 0.65, 0.48, 0.38)],
    (FT, 1): [("VoxCeleb2, Ours-FT (1)", 48.5, 0.64, 0.35, 0.46), ("VoxCeleb1, Ours (1)", 43.0, 0.67, 0.15, 0.62)],
    (FT, 8): [("VoxCeleb2, Ours-FT (8)", 42.2, 0.68, 0.42, 0.39), ("VoxCeleb1, Ours (8)", 38.0, 0.71, 0.17, 0.62)],
    (FT, 32): [("VoxCeleb2, Ours-FT (32)", 30.6, 0.72, 0.45, 0.33), ("VoxCeleb1, Ours (32)", 29.5, 0.74, 0.19, 0.61)],
}
PAPER_METRICS = ("fid", "ssim", "csim", "user")
_PAIRS = ((NEAREST, FF), (FF, FT), (NEAREST, FT), (FT, KNEE), (FF, PSI))
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
_TIMES_NOTE = (
    "Seconds, median over videos, on whatever else the machine was doing; the first video's "
    "include tracing. The paper's Table 2 is another measurement."
)
_FEW_SHOT = {
    "same": "evenly over the part of the video before the cut, its last frame for every T",
    "other": "evenly over another video of the person",
}
_HELD_OUT = {
    True: "all evaluated identities were kept out of that training",
    False: "NOT all evaluated identities were kept out of that training: these figures do not "
    "tell how it does on new people",
    None: "whether the evaluated identities were kept out of training is not known",
}


def build_blocks(
    folder: EvaluationFolder,
    facts: dict,
    training: dict,
    totals: list[dict],
    videos: list[FinishedVideo],
    left_out: dict[str, str],
) -> list:
    """The report.

    Args:
      folder: gets the picture of the curves.
      facts: of evaluation.json.
      training: of the model, see `_budget`.
      totals: rows over all videos.
      videos: in the order of the report.
      left_out: video_id -> why it was not evaluated.
    """
    figures = by_figure([row for video in videos for row in video.rows])
    blocks = [
        Heading("Self-reenactment", 1),
        Lines(_conditions(facts, training, videos)),
        Heading("Table 1"),
        Text(_TABLE_NOTE),
        _main_table(facts, by_figure(totals)),
        Heading("Differences, video by video"),
        Text(_PAIR_NOTE),
        _pair_table(facts, figures, [video.video_id for video in videos]),
        Heading("Few-shot learning time"),
        Text(_TIMES_NOTE),
        _times_table(facts, videos),
        *curve_blocks(folder.path, facts, videos),
        Heading("Videos"),
        Text(_strip_note(facts)),
    ]
    columns = ["source", "landmarks", "ground truth"]
    columns += [LABELS[method] for method in shown_methods(facts["methods"])]
    for video in videos:
        path = video.path / "strip.png"
        blocks += [
            Heading(f"{video.video_id} (identity {video.identity})", 3),
            Picture(path, path.relative_to(folder.path), columns),
            _video_table(facts, figures, video.video_id),
        ]
    if facts["cross"]["drivers"]:
        blocks += cross_blocks(folder.path, facts, videos)
    return blocks + left_out_blocks("Videos left out", left_out)


def left_out_blocks(title: str, left_out: dict[str, str]) -> list:
    """Name -> why it is left out; nothing where nothing is."""
    lines = [f"{name}: {reason}" for name, reason in left_out.items()]
    return [Heading(title), Lines(lines)] if lines else []


def conditions_of_model(facts: dict) -> list[str]:
    """Of evaluation.json: checkpoint, losses, how it was fine-tuned."""
    config = facts["config"]
    epochs = ", ".join(f"{LABELS[m]} {n}" for m, n in facts["epochs"].items())
    return [
        f"Model: {facts['checkpoint']}, step {facts['step']:,}, config {config['name']} "
        f"({facts['config_hash']}), {config['model']['image_size']} pixels",
        f"FF: {_what_ff_is(config['losses']['match'])}",
        f"Content loss: {', '.join(facts['content'].values()) or 'no network'}",
        f"Fine-tuning epochs: {epochs or 'none'}; in {facts['precision']}",
        f"Config changed for fine-tuning: {', '.join(facts['override']) or 'nothing'}",
    ]


def _what_ff_is(match: float) -> str:
    """The paper's Ours-FF is a model of its own, trained without L_MCH."""
    if match:
        return "this model as it is before fine-tuning; trained with L_MCH, the paper's FF was not"
    return "trained without L_MCH, as the paper's FF"


def _conditions(facts: dict, training: dict, videos: list[FinishedVideo]) -> list[str]:
    """Of an evaluation; `training`: see `_budget`."""
    who = {video.identity for video in videos}
    model, *tuning = conditions_of_model(facts)
    lines = [
        model,
        _budget(facts["step"], training),
        *tuning,
        f"Evaluated on: {facts['dataset']} (data {facts['data_hash']}), {len(videos)} videos of "
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


def _budget(step: int, training: dict) -> str:
    """How long the model was trained, and on whom.

    Args:
      step: of the checkpoint.
      training: batch_size, k_shot, num_videos, start_from, and held_out: whether all evaluated
        people were kept out, None where that is not known.
    """
    begun = ""
    if training["start_from"]:
        source = training["start_from"]
        begun = f", begun from {source['checkpoint']} of another run (its step {source['step']:,})"
    return (
        f"Training budget: {step:,} steps of {training['batch_size']} episodes, K = "
        f"{training['k_shot']}{begun}, on {training['num_videos'] or 'an unknown number of'} "
        f"videos; {_HELD_OUT[training['held_out']]}"
    )


def _main_table(facts: dict, totals: dict[tuple, dict]) -> Table:
    metrics, rows = facts["metrics"], []
    for shots in facts["shots"]:
        for method in facts["methods"]:
            own = [totals[method, shots, metric, None] for metric in metrics]
            n = max((r["n"] for r in own), default=0)
            rows.append([f"{LABELS[method]} ({shots})", *map(total_cell, own), "–", str(n)])
            for name, *figures in PAPER.get((method, shots), []):
                known = dict(zip(PAPER_METRICS, figures, strict=True))
                cells = [number(known.get(metric)) for metric in (*metrics, "user")]
                rows.append([f"paper: {name}", *cells, "1600"])
    return Table(["method (T)", *map(heading_of, metrics), "USER↓", "n"], rows)


def _pair_table(facts: dict, figures: dict[tuple, dict], videos: list[str]) -> Table:
    metrics, rows = by_video(facts["metrics"]), []
    for shots in facts["shots"]:
        for first, second in _PAIRS:
            if {first, second} <= set(facts["methods"]):
                pair = (figures, first), (figures, second)
                cells = difference_cells(*pair, shots, metrics, videos, facts["seed"])
                rows.append([f"{LABELS[second]} − {LABELS[first]} ({shots})", *cells])
    return Table(["difference (T)", *map(heading_of, metrics)], rows)


def _times_table(facts: dict, videos: list[FinishedVideo]) -> Table:
    seconds = {shots: median_seconds(videos, shots) for shots in facts["shots"]}
    methods = [m for m in facts["methods"] if m in seconds[facts["shots"][0]]]
    rows = [[str(shots), *(f"{own[m]:.3g}" for m in methods)] for shots, own in seconds.items()]
    return Table(["T", *(LABELS[m] for m in methods)], rows)


def _video_table(facts: dict, figures: dict[tuple, dict], video: str) -> Table:
    metrics = by_video(facts["metrics"])
    rows = [
        [f"{LABELS[m]} ({t})", *(number(figures[m, t, name, video]["value"]) for name in metrics)]
        for t in facts["shots"]
        for m in facts["methods"]
    ]
    header = ["method (T)", *map(heading_of, metrics)]
    return Table(header, rows, folded="Figures of this video")


def _strip_note(facts: dict) -> str:
    rows = ", ".join(f"T = {t}" for t in facts["shots"])
    return f"Rows from top to bottom: {rows}, two hold-out frames each."


def write_reports(blocks: list, path: pathlib.Path, name: str = "report") -> pathlib.Path:
    """NAME.md and NAME.html in the folder `path`. Returns the page's path."""
    write_whole(path / f"{name}.md", to_markdown(blocks))
    write_whole(path / f"{name}.html", to_html(blocks, blocks[0].text))
    return path / f"{name}.html"
