"""The page of `training.report`: config, what a run was trained on, alarms, curves, previews.

One HTML text that needs nothing else, neither network nor the run folder.
"""

import datetime
import html
import json
import pathlib

from tf_talking.config import PRESETS, from_json, to_json
from tf_talking.networks.checkpoint_files import list_checkpoints, step_of
from training.pages.html import number, page
from training.run_report.charts import GROUPS, chart, group_metrics
from training.run_report.data import Alarm, MetricLog, read_alarms, read_lines, read_metrics
from training.run_report.previews import preview_section
from training.runs.folder import RunFolder

_LISTED_ALARMS = 100
_STYLE = """
h1 { margin-bottom: 0 } h3 { margin: 1.2em 0 .4em } small, .note { color: #666 }
td, th { text-align: left } .facts td { overflow-wrap: anywhere } .changed { background: #fff2cc }
.facts td:first-child { color: #555; white-space: nowrap; vertical-align: top }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(400px, 1fr)); gap: 4px }
.charts img { width: 100% } details { margin: .4em 0 }
.strip td, .strip th { padding: 1px 3px; font-size: 12px; font-weight: normal; text-align: center }
.strip .driver { max-width: 12em; text-align: right } .none { color: #999 }
img.cell { width: 104px; display: block } .grid, video { width: 100%; max-width: 1024px }
.alarm td { border-top: 1px solid #eee } .bad { color: #b3261e } .missing { color: #8a5a00 }
.sections { display: flex; flex-wrap: wrap; gap: 0 2.5em }
"""


def build_report(run: pathlib.Path, output: pathlib.Path, smoothing: float = 0.9) -> str:
    """The page of a run as HTML.

    Args:
      run: a run folder, finished or not; what is missing or damaged in it is said on the page.
      output: where the page will stand, for links to films that are too large for it.
      smoothing: weight in [0, 1) of the past in the moving averages.

    Raises:
      FileNotFoundError: no such folder.
      ValueError: a folder that holds nothing of a run.
    """
    if not run.is_dir():
        raise FileNotFoundError(f"{run}: no such run folder")
    folder = RunFolder(run)
    parts = ("config.json", "run.json", "metrics.jsonl", "previews")
    if not any((run / name).exists() for name in parts):
        raise ValueError(f"{run}: not a run folder; expected one of {', '.join(parts)} in it")
    log = read_metrics(folder.metrics)
    alarms, problems = read_alarms(folder.alarms)
    problems += log.problems
    sections = [
        ("Alarms", _alarms(alarms)),
        ("Previews", preview_section(run, output, problems)),
        ("Curves", _curves(log, alarms, smoothing)),
        ("What it was trained on", _facts(folder.path / "run.json", problems)),
        ("Starts", _starts(folder.path / "starts.jsonl", problems)),
        ("Config", _config(folder.path / "config.json", problems)),
    ]
    body = [f"<h2>{title}</h2>\n{content}" for title, content in sections]
    if problems:
        lines = "".join(f"<li>{html.escape(problem)}</li>" for problem in problems)
        body.insert(0, f"<h2>Missing or damaged</h2>\n<ul class=missing>{lines}</ul>")
    name = run.resolve().name
    top = f"<h1>{html.escape(name)}</h1>\n{_summary(folder, log, alarms)}"
    return page(name, "\n".join([top, *body]), _STYLE)


def _summary(folder: RunFolder, log: MetricLog, alarms: list[Alarm]) -> str:
    words = []
    if len(log.steps):
        when = datetime.datetime.fromtimestamp(folder.metrics.stat().st_mtime)
        words.append(f"step <b>{log.steps[-1]:,}</b>, logged {when:%Y-%m-%d %H:%M}")
    saved = [step_of(prefix) for prefix in list_checkpoints(str(folder.checkpoints))]
    words.append(f"checkpoints of steps {', '.join(f'{s:,}' for s in saved)}" if saved else "no checkpoint")
    if log.restarts:
        words.append(f"continued {len(log.restarts)} time(s) from an earlier step")
    standing = sum(alarm.until is None for alarm in alarms)
    words.append(f"<b class=bad>{len(alarms)} alarm(s), {standing} not cleared</b>" if alarms else "no alarm")
    if log.not_finite:
        words.append(f"<b class=bad>NaN or infinite values in {len(log.not_finite)} metric(s)</b>")
    return f"<p class=note>{' · '.join(words)}</p>"


def _alarms(alarms: list[Alarm]) -> str:
    if not alarms:
        return "<p>None.</p>"
    counts: dict[str, list[int]] = {}
    for alarm in alarms:
        counts.setdefault(alarm.name, []).append(alarm.step)
    totals = ", ".join(
        f"<b>{html.escape(name)}</b> {len(steps)}× (steps {steps[0]:,} to {steps[-1]:,})"
        for name, steps in counts.items()
    )
    lines = [
        f"<tr><td>{a.step:,}<td>{'' if a.until is None else f'{a.until:,}'}"
        f"<td>{html.escape(a.name)}<td>{number(a.value, '')}"
        f"<td>{number(a.threshold, '')}<td>{html.escape(a.message)}</tr>"
        for a in alarms[-_LISTED_ALARMS:]
    ]
    note = f"<p class=note>The last {_LISTED_ALARMS}:</p>" if len(alarms) > _LISTED_ALARMS else ""
    heading = "<tr><th>step<th>cleared<th>alarm<th>value<th>threshold<th>message</tr>"
    return f"<p>{totals}</p>{note}<table class=alarm>{heading}{''.join(lines)}</table>"


def _curves(log: MetricLog, alarms: list[Alarm], smoothing: float) -> str:
    if not len(log.steps):
        return "<p class=missing>No step has been logged yet.</p>"
    parts = [
        f"<p class=note>Pale: as logged. Dark: moving average ({smoothing:g}), its last value at "
        "the right. Red: alarms. Dotted: continued here from a checkpoint.</p>"
    ]
    for group, names in group_metrics(list(log.values)).items():
        pictures, empty = [], []
        for name in names:
            uri = chart(log, name, alarms, smoothing)
            if uri is None:
                empty.append(name)
            else:
                pictures.append(f"<img alt='{html.escape(name)}' src='{uri}'>")
        note = f" <small>{GROUPS[group]}</small>" if group in GROUPS else ""
        parts.append(f"<h3>{html.escape(group)}{note}</h3>")
        parts.append(f"<div class=charts>{''.join(pictures)}</div>")
        if empty:
            parts.append(f"<p class=missing>No finite value: {html.escape(', '.join(empty))}</p>")
    if log.not_finite:
        counts = ", ".join(f"{name} {count}×" for name, count in log.not_finite.items())
        parts.append(f"<p class=bad>NaN or infinite: {html.escape(counts)}</p>")
    return "\n".join(parts)


def _facts(path: pathlib.Path, problems: list[str]) -> str:
    try:
        facts = json.loads(path.read_text())
        return _table(facts.items())
    except (OSError, ValueError, AttributeError) as error:
        problems.append(f"{path.name}: {_reason(error)}")
        return f"<p class=missing>{path.name} can not be read.</p>"


def _starts(path: pathlib.Path, problems: list[str]) -> str:
    """One column a start, so that what changed from start to start stands side by side."""
    starts = list(read_lines(path, problems)) if path.is_file() else []
    if not starts:
        return "<p class=missing>No start was recorded.</p>"
    names = list(dict.fromkeys(name for start in starts for name in start))
    rows = [
        f"<tr><td>{html.escape(name)}"
        + "".join(f"<td>{html.escape(_text(start.get(name, '')))}" for start in starts)
        + "</tr>"
        for name in names
    ]
    return f"<table class=facts>{''.join(rows)}</table>"


def _config(path: pathlib.Path, problems: list[str]) -> str:
    try:
        config = from_json(path.read_text(), path.name)
    except (OSError, ValueError) as error:
        problems.append(f"{path.name}: {_reason(error)}")
        return f"<p class=missing>{path.name} can not be read.</p>"
    values = json.loads(to_json(config))
    preset = json.loads(to_json(PRESETS[config.name])) if config.name in PRESETS else values
    parts, changed = [], []
    for section, fields in values.items():
        if not isinstance(fields, dict):
            continue
        marked = {f for f in fields if fields[f] != preset[section][f]}
        changed += [f"{section}.{f} = {_text(fields[f])} (preset: {_text(preset[section][f])})" for f in marked]
        parts.append(f"<div><h3>{section}</h3>{_table(fields.items(), marked)}</div>")
    note = "; ".join(sorted(changed)) if changed else "nothing changed"
    return (
        f"<p>Preset <b>{html.escape(config.name)}</b>: {html.escape(note)}</p>"
        f"<details open><summary>All fields</summary><div class=sections>{''.join(parts)}</div>"
        "</details>"
    )


def _table(items, marked=frozenset()) -> str:
    lines = []
    for name, value in items:
        kind = " class=changed" if name in marked else ""
        lines.append(f"<tr{kind}><td>{html.escape(str(name))}<td>{html.escape(_text(value))}</tr>")
    return f"<table class=facts>{''.join(lines)}</table>"


def _text(value) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _reason(error: Exception) -> str:
    return "missing" if isinstance(error, FileNotFoundError) else str(error)
