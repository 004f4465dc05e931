"""Blocks of a report as Markdown, with pictures beside it, or as one HTML file with them inside."""

import dataclasses
import html
import pathlib

from tf_talking.media.photos import read_photo
from training.pages.html import page
from training.pages.pictures import photo_uri

_CELL = 128  # pixels of a picture's column on the page
_STYLE = """
body { max-width: 1200px } table { font-size: 13px } td, th { text-align: right }
td:first-child, th:first-child { text-align: left } tr { border-top: 1px solid #eee }
.paper { color: #777; font-style: italic }
.strip { display: inline-grid; text-align: center; font-size: 12px; color: #555 }
.strip img { width: 100% }
"""


@dataclasses.dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclasses.dataclass(frozen=True)
class Text:
    text: str


@dataclasses.dataclass(frozen=True)
class Lines:
    items: list[str]


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells as text; `folded`: a title behind which the page hides it."""

    header: list[str]
    rows: list[list[str]]
    folded: str = ""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture file, its address beside the Markdown file, and what its equal columns are.

    `cell`: pixels of a column on the page. `titled`: the columns' names stand over it.
    """

    path: pathlib.Path
    link: pathlib.PurePath
    columns: list[str]
    cell: int = _CELL
    titled: bool = True


def to_markdown(blocks: list) -> str:
    """The report as Markdown; pictures are links."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Text():
            return block.text
        case Lines():
            return "\n".join(f"- {item}" for item in block.items)
        case Table():
            rows = [block.header, ["---", *["---:"] * (len(block.header) - 1)], *block.rows]
            return "\n".join(f"| {' | '.join(cell.replace('|', '¦') for cell in row)} |" for row in rows)
        case Picture():
            return f"![{', '.join(block.columns)}]({block.link.as_posix()})"
    raise TypeError(f"no such block: {block!r}")


def to_html(blocks: list, title: str) -> str:
    """The report as one page that needs nothing else."""
    return page(title, "\n".join(_html(block) for block in blocks), _STYLE)


def _html(block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{html.escape(block.text)}</h{block.level}>"
        case Text():
            return f"<p>{html.escape(block.text)}</p>"
        case Lines():
            return "<ul>" + "".join(f"<li>{html.escape(i)}</li>" for i in block.items) + "</ul>"
        case Table():
            return _html_table(block)
        case Picture():
            return _html_picture(block)
    raise TypeError(f"no such block: {block!r}")


def _html_table(table: Table) -> str:
    def line(tag: str, cells: list[str]) -> str:
        mark = " class=paper" if cells[0].startswith("paper:") else ""
        return f"<tr{mark}>" + "".join(f"<{tag}>{html.escape(c)}" for c in cells) + "</tr>"

    rows = "".join(line("td", row) for row in table.rows)
    found = f"<div class=wide><table>{line('th', table.header)}{rows}</table></div>"
    if table.folded:
        found = f"<details><summary>{html.escape(table.folded)}</summary>{found}</details>"
    return found


def _html_picture(picture: Picture) -> str:
    count, cell = len(picture.columns), picture.cell
    uri = photo_uri(read_photo(picture.path), count * cell)
    shown = picture.columns if picture.titled else []
    names = "".join(f"<span>{html.escape(name)}</span>" for name in shown)
    return (
        "<div class=wide>"
        f"<div class=strip style='grid-template-columns: repeat({count}, {cell}px)'>"
        f"{names}<img alt='{html.escape(', '.join(picture.columns), quote=True)}' "
        f"style='grid-column: 1 / -1' src='{uri}'></div></div>"
    )
