"""Tables whose cells are separated by commas or tabs."""

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from afsd_jax.errors import UserError
from afsd_jax.io.files import check_regular

Line = tuple[int, list[str]]  # number of the line, from 1, and its cells


def read_rows(
    path: str | os.PathLike[str], columns: Iterable[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields (place, row) of a table with a header line; see `read_table` and `named_rows`."""
    return named_rows(path, read_table(path), columns)


def read_table(path: str | os.PathLike[str]) -> list[Line]:
    """Returns the non-empty lines of a table; spaces around cells are removed.

    Tabs separate the cells if the suffix is .tsv or the first line contains a tab.

    Raises:
      UserError: the file cannot be read.
    """
    try:
        check_regular(path)
        with open(path, newline="", encoding="utf-8-sig") as file:
            tabs = Path(path).suffix.lower() == ".tsv" or "\t" in file.readline()
            file.seek(0)
            reader = csv.reader(file, skipinitialspace=True, delimiter="\t" if tabs else ",")
            return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error})") from error


def named_rows(
    path: str | os.PathLike[str], lines: Sequence[Line], columns: Iterable[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields (place, row); the first line names the cells of a row.

    Raises:
      UserError: a column or cell is missing.
    """
    header = lines[0][1] if lines else []
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(
            f"{path}: column {missing[0]!r} is missing: the first line must name "
            f"{', '.join(columns)}"
        )
    for line, cells in lines[1:]:
        place = f"{path}, line {line}"
        if len(cells) != len(header):
            raise UserError(f"{place}: must have {len(header)} cells")
        yield place, dict(zip(header, cells, strict=True))


def cell_number(row: Mapping[str, str], column: str, place: str) -> float:
    """Returns a cell as a finite number."""
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not abs(value) < 1e15:
        raise UserError(f"{place}: {column} must be a number, not {row[column]!r}")
    return value
