"""Text files and tables as spreadsheets write them."""

import codecs
import csv
import io
import os
import pathlib

_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SEPARATORS = ",;\t"


def read_text(path: str | os.PathLike) -> str:
    """A text file in UTF-8, or in UTF-16 where it says so itself (Excel's "Unicode text").

    Raises:
      ValueError: names the file, and the line that is in another encoding.
    """
    data = pathlib.Path(path).read_bytes()
    encoding = _MARKS.get(data[:2], "utf-8-sig")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: not {encoding.removesuffix('-sig').upper()} text (byte 0x{data[error.start]:02x}); "
            "save it as UTF-8"
        ) from None


def read_table(path: str | os.PathLike, columns: tuple[str, ...]) -> list[tuple[int, tuple[str, ...]]]:
    """The cells of some columns of a CSV file, whatever separates them: comma, semicolon or tab.

    Args:
      path: of the file; its first line names the columns, upper case or lower case.
      columns: which columns, by their names in lower case.

    Returns:
      (line number, cells without space around them) of each row.

    Raises:
      ValueError: names the file and what is wrong with it.
    """
    text = read_text(path)
    separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        missing = set(columns) - set(names)
        if missing:
            raise ValueError(
                f"{path}: no column {', '.join(sorted(missing))}; it has {names}, separated by {separator!r}"
            )
        places = [names.index(column) for column in columns]
        return [
            (rows.line_num, tuple(row[place].strip() if place < len(row) else "" for place in places))
            for row in rows
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: not a table: {error}") from None
