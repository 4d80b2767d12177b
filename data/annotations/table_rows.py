"""Tables whose cells are separated by commas, semicolons or tabs."""

import contextlib
import csv
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from afsd_jax.errors import UserError
from afsd_jax.io.files import read_bytes

Line = tuple[int, list[str]]  # number of the line, from 1, and its cells

_DECIMAL_COMMA = re.compile(r"^([+-]?\d+),(\d+)$")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]?\d(?:[.,]\d+)?)")  # hours, minutes, seconds
_MOST_SHOWN = 80  # characters of a line in a message


def read_rows(
    path: str | os.PathLike[str], columns: Iterable[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields (place, row) of a table with a header line; see `read_table` and `named_rows`."""
    return named_rows(path, read_table(path), columns)


def read_table(path: str | os.PathLike[str]) -> list[Line]:
    """Returns the lines of a table that have a cell that is not empty, without spaces around cells.

    Tabs separate the cells if the suffix is .tsv or the first line contains a tab; else semicolons,
    if it has more of them than commas. Cells are returned as they stand; `cell_number` also reads
    decimal commas. A byte that is not UTF-8 becomes a lone surrogate.

    Raises:
      UserError: the file cannot be read.
    """
    text = _decoded(path)
    first = text.partition("\n")[0].strip()
    separator = ";" if first.count(";") > first.count(",") else ","
    if Path(path).suffix.lower() == ".tsv" or "\t" in first:
        separator = "\t"
    stated = re.fullmatch(r'"?sep=(.)"?', first, re.IGNORECASE)  # a line that only Excel reads
    if stated:
        separator = stated[1]
    try:
        reader = csv.reader(io.StringIO(text, ""), skipinitialspace=True, delimiter=separator)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise UserError(f"{path}: cannot be read as CSV ({error})") from error
    return [(line, cells) for line, cells in rows[1 if stated else 0 :] if any(cells)]


def _decoded(path: str | os.PathLike[str]) -> str:
    """Returns the text of a table, in UTF-16 if it begins with a mark of that encoding."""
    content = read_bytes(path)
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "surrogateescape")


def named_rows(
    path: str | os.PathLike[str],
    lines: Sequence[Line],
    columns: Iterable[str],
    optional: Iterable[str] = (),
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields (place, row); the first line names the cells of a row, in upper or lower case.

    Args:
      path: the file, for messages.
      lines: lines of the table.
      columns: names of the columns that must be there.
      optional: names of other columns that are read.

    Raises:
      UserError: a column or cell is missing, or a column appears twice.
    """
    names = {name.lower(): name for name in (*columns, *optional)}
    header = [names.get(cell.lower(), cell) for cell in lines[0][1]] if lines else []
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(
            f"{path}: column {missing[0]!r} is missing: the first line must name "
            f"{', '.join(columns)}{as_found(lines)}"
        )
    twice = [name for name in names.values() if header.count(name) > 1]
    if twice:
        raise UserError(f"{path}: column {twice[0]!r} appears twice{as_found(lines)}")
    for line, cells in lines[1:]:
        place = f"{path}, line {line}"
        with line_shown(cells):
            if len(cells) < len(header) or any(cells[len(header) :]):
                raise UserError(f"{place}: must have {len(header)} cells")
        yield place, dict(zip(header, cells, strict=False))


def as_found(lines: Sequence[Line]) -> str:
    """Returns the first line of a table for a message, or nothing if the table is empty."""
    return f"; it is: {_shown(lines[0][1])}" if lines else ""


@contextlib.contextmanager
def line_shown(cells: Iterable[str]) -> Iterator[None]:
    """Adds a line of a table to a UserError about it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error}; the line is: {_shown(cells)}") from error


def _shown(cells: Iterable[str]) -> str:
    text = " ".join(",".join(cells).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def cell_number(row: Mapping[str, str], column: str, place: str) -> float:
    """Returns a cell as a finite number: 62.5, 62,5 and the times 1:02.5 and 0:01:02.5 are equal.

    Raises:
      UserError: it is none.
    """
    cell = row[column]
    if time := _CLOCK.fullmatch(cell):
        hours, minutes, seconds = time.groups(default="0")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds.replace(",", "."))
    try:
        value = float(_DECIMAL_COMMA.sub(r"\1.\2", cell))
    except ValueError:
        value = math.nan
    if not abs(value) < 1e15:
        raise UserError(
            f"{place}: {column} must be a number or a time such as 1:02.5, not {cell!r}"
        )
    return value
