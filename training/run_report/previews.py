"""Preview section of a report: strips over time, the newest grid, the newest film."""

import html
import json
import os
import pathlib

import numpy as np

from tf_talking.media.photos import read_photo
from tf_talking.spread import spread
from training.pages.html import data_uri
from training.pages.pictures import cell_uri
from training.previews.grid import LAYOUT_FILE

MAX_STEPS = 8  # of a strip
MAX_FILM_BYTES = 8_000_000  # a larger film is linked, not put into the page
_RESULTS = ("own video", "another video", "another person")


def preview_section(run: pathlib.Path, output: pathlib.Path, problems: list[str]) -> str:
    """HTML of everything in `run/previews`; adds sentences about what can not be shown."""
    folder = run / "previews"
    pictures = by_step(folder, ".png")
    if not pictures:
        return "<p class=missing>No preview has been written yet.</p>"
    parts = []
    layout = read_layout(folder / LAYOUT_FILE, problems)
    if layout is not None:
        parts.append(strips(layout, pictures, problems))
    newest = max(pictures)
    parts.append(f"<h3>Whole grid at step {newest:,}</h3>")
    whole = data_uri(pictures[newest].read_bytes(), "image/png")
    parts.append(f"<p><img class=grid src='{whole}'></p>")
    parts.append(film(by_step(folder, ".mp4"), output))
    return "\n".join(parts)


def by_step(folder: pathlib.Path, suffix: str) -> dict[int, pathlib.Path]:
    """Step -> file of `step_000001000.png` and the like, rising."""
    found = {}
    for path in sorted(folder.glob(f"step_*{suffix}")) if folder.is_dir() else ():
        number = path.stem.removeprefix("step_")
        if number.isdecimal() and path.stat().st_size:
            found[int(number)] = path
    return dict(sorted(found.items()))


def read_layout(path: pathlib.Path, problems: list[str]) -> dict | None:
    """The checked content of layout.json, or None, with a problem, where strips can not be cut."""
    if not path.is_file():
        problems.append(f"previews/{path.name}: missing; previews are shown whole, not as strips")
        return None
    try:
        layout = json.loads(path.read_text())
        columns = [tuple(column) for column in layout["columns"]]
        for group in _RESULTS:
            columns.index((group, "landmarks")), columns.index((group, "result"))
        columns.index(("source", "frame")), columns.index(("own video", "truth"))
        people = [
            {name: str(row[name]) for name in ("identity", "other_video_id", "other_person")}
            | {"video_id": str(row["video_id"])}
            for row in layout["rows"]
        ]
        return {"cell": int(layout["cell"]), "heading": int(layout["heading"]), "columns": columns, "people": people}
    except (ValueError, TypeError, KeyError) as error:
        problems.append(f"previews/{path.name}: not the layout of a preview grid ({error!r})")
        return None


def strips(layout: dict, pictures: dict[int, pathlib.Path], problems: list[str]) -> str:
    """One table a person: driving landmarks and truth, then the result at several steps."""
    steps = list(pictures)
    grids = {}
    for step in (steps[i] for i in spread(len(steps), MAX_STEPS)):
        grid = _read_grid(layout, pictures[step], problems)
        if grid is not None:
            grids[step] = grid
    if not grids:
        return ""
    return "\n".join(_person(layout, row, grids) for row in range(len(layout["people"])))


def _read_grid(layout: dict, path: pathlib.Path, problems: list[str]) -> np.ndarray | None:
    """The grid without its heading, or None, with a problem, where it is another or damaged."""
    try:
        picture = read_photo(path)
    except ValueError as error:
        problems.append(str(error))
        return None
    cell, rows, columns = layout["cell"], len(layout["people"]), len(layout["columns"])
    expected = (layout["heading"] + rows * cell, columns * cell, 3)
    if picture.shape != expected:
        problems.append(
            f"previews/{path.name}: {picture.shape[1]}x{picture.shape[0]} pixels, expected "
            f"{expected[1]}x{expected[0]} as in {LAYOUT_FILE}; left out of the strips"
        )
        return None
    return picture[layout["heading"] :]


def _person(layout: dict, row: int, grids: dict[int, np.ndarray]) -> str:
    person = {name: html.escape(text) for name, text in layout["people"][row].items()}

    def cell(step: int, group: str, name: str) -> str:
        size, column = layout["cell"], layout["columns"].index((group, name))
        pixels = grids[step][row * size : (row + 1) * size, column * size : (column + 1) * size]
        return f"<td><img class=cell src='{cell_uri(pixels)}'></td>"

    last = max(grids)
    titles = "".join(f"<th>step {step:,}</th>" for step in grids)
    same = person["other_video_id"] == person["video_id"]
    whose = {
        "own video": f"own video<br><small>{person['video_id']}</small>",
        "another video": "the same video, its middle<br><small>there is no other</small>"
        if same
        else f"another video<br><small>{person['other_video_id']}</small>",
        "another person": f"another person<br><small>{person['other_person']}</small>",
    }
    lines = [f"<tr><th>source<th>driven by<th>landmarks<th>truth{titles}</tr>"]
    for index, group in enumerate(_RESULTS):
        source = cell(last, "source", "frame") if index == 0 else "<td></td>"
        truth = cell(last, group, "truth") if index == 0 else "<td class=none>none</td>"
        results = "".join(cell(step, group, "result") for step in grids)
        lines.append(
            f"<tr>{source}<td class=driver>{whose[group]}</td>{cell(last, group, 'landmarks')}{truth}{results}</tr>"
        )
    table = "\n".join(lines)
    return f"<h3>{person['identity']}</h3>\n<div class=wide><table class=strip>{table}</table></div>"


def film(films: dict[int, pathlib.Path], output: pathlib.Path) -> str:
    """The newest film inside the page where it is small, and links to the older ones."""
    if not films:
        return "<p class=missing>No preview film has been written.</p>"
    newest = max(films)
    path = films[newest]
    parts = [f"<h3>Film at step {newest:,}</h3>"]
    if path.stat().st_size <= MAX_FILM_BYTES:
        uri = data_uri(path.read_bytes(), "video/mp4")
        parts.append(f"<p><video controls loop muted src='{uri}'></video></p>")
    else:
        megabytes = path.stat().st_size / 1e6
        parts.append(f"<p>{_link(path, output)} ({megabytes:.0f} MB, not part of this page)</p>")
    older = [_link(films[step], output) for step in films if step != newest]
    if older:
        parts.append(f"<details><summary>Older films</summary><p>{' · '.join(older)}</p></details>")
    return "\n".join(parts)


def _link(path: pathlib.Path, output: pathlib.Path) -> str:
    target = os.path.relpath(path.resolve(), output.resolve().parent)
    return f"<a href='{html.escape(pathlib.PurePath(target).as_posix())}'>{path.name}</a>"
