"""Tables as text, for people who read them in a terminal."""

from collections.abc import Iterable, Sequence


def text_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their widest cell, the first one's cells left, the others' right.

    Args:
      header: names of the columns.
      rows: cells; None is a dash.
    """
    table = [list(header), *(["–" if c is None else str(c) for c in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table
    )
