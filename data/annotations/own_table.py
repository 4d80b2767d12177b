"""The plain table: video, label, start and end in seconds and, optionally, subset."""

from collections.abc import Sequence
from pathlib import Path

from afsd_jax.data.annotations.checks import check_name
from afsd_jax.data.annotations.collector import Annotations, Collector
from afsd_jax.data.annotations.tables import Line, cell_number, named_rows
from afsd_jax.errors import UserError

COLUMNS = ("video", "label", "start", "end")


def read_own_table(path: Path, lines: Sequence[Line]) -> Annotations:
    """Reads the lines of a table.

    A row with an empty label lists a video without actions. A video may be named with or without
    the suffix of its file.

    Raises:
      UserError: a column, a cell or a number is missing, or a video has two subsets.
    """
    if lines and not set(COLUMNS) & set(lines[0][1]):
        raise UserError(
            f"{path}: the first line must name {', '.join(COLUMNS)}, or the table must be exported "
            "from BORIS (Export events or Export aggregated events)"
        )
    collector = Collector()
    subsets: dict[str, tuple[str, str]] = {}
    for place, row in named_rows(path, lines, COLUMNS):
        check_name(row["video"], "video name", place)
        name, subset = collector.add_video(row["video"], place), row.get("subset", "")
        known, first = subsets.setdefault(name, (subset, place))
        if known != subset:
            raise UserError(
                f"{place}: video {name!r} has subset {subset!r} here and {known!r} in {first}"
            )
        if row["label"]:
            start_s, end_s = (cell_number(row, column, place) for column in ("start", "end"))
            collector.add_action(name, row["label"], start_s, end_s, place)
    return collector.annotations({name: subset for name, (subset, _) in subsets.items()})
