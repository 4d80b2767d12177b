"""The plain table: video, label, start and end in seconds and, optionally, subset."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.data.annotations.collector import Annotations, Collector
from afsd_jax.data.annotations.table_rows import Line, as_found, cell_number, line_shown, named_rows
from afsd_jax.errors import UserError
from afsd_jax.io.names import composed, split_name

COLUMNS = ("video", "label", "start", "end")
# Other names of the columns in people's tables, in lower case and without blanks and the like.
_OTHER_NAMES = {
    "video": "file filename videofile videoname videoid videopath mediafile media path",
    "label": "behavior behaviour action activity class classname category event name",
    "start": "begin onset from starttime starts startseconds startsec begintime tstart",
    "end": "stop offset to endtime ends endseconds endsec stoptime finish tend",
    "subset": "split set partition",
}
_NAMED = {other: name for name, others in _OTHER_NAMES.items() for other in others.split()}


class _First(NamedTuple):
    """The properties of a video in its first row."""

    subset: str
    folder: str
    place: str


def read_own_table(path: Path, lines: Sequence[Line]) -> Annotations:
    """Reads the lines of a table, whose columns may have other common names.

    A row with an empty label lists a video without actions. A video may be named with or without
    the suffix of its file and the folders above it.

    Raises:
      UserError: a column, a cell or a number is missing, a video has two subsets, or two videos
        have one name.
    """
    lines = _with_own_names(lines)
    if lines and not set(COLUMNS) & {cell.lower() for cell in lines[0][1]}:
        raise UserError(
            f"{path}: the first line must name {', '.join(COLUMNS)}, or the table must be exported "
            f"from BORIS (Export events or Export aggregated events){as_found(lines)}"
        )
    collector = Collector()
    videos: dict[str, _First] = {}
    for place, row in named_rows(path, lines, COLUMNS, optional=("subset",)):
        with line_shown(row.values()):
            _add_row(collector, videos, row, place)
    return collector.annotations({name: first.subset for name, first in videos.items()})


def _with_own_names(lines: Sequence[Line]) -> Sequence[Line]:
    """Returns the lines with our names for columns that have another common name."""
    if not lines:
        return lines
    (number, header), *rows = lines
    there = {cell.lower() for cell in header}
    names = [_NAMED.get(re.sub(r"\W|_|\(.*\)|\[.*\]", "", cell.lower()), cell) for cell in header]
    own = [cell if name in there else name for cell, name in zip(header, names, strict=True)]
    return [(number, own), *rows]


def _add_row(
    collector: Collector, videos: dict[str, _First], row: Mapping[str, str], place: str
) -> None:
    name, subset = collector.add_video(row["video"], place), row.get("subset", "")
    folder = composed(row["video"]).replace("\\", "/").rpartition("/")[0]
    first = videos.setdefault(name, _First(subset, folder, place))
    if split_name(first.subset) != split_name(subset):
        raise UserError(
            f"{place}: video {name!r} has subset {subset!r} here and {first.subset!r} in "
            f"{first.place}"
        )
    if folder and first.folder and folder != first.folder:
        raise UserError(
            f"{place}: video {name!r} is in folder {folder!r} here and in {first.folder!r} in "
            f"{first.place}; two videos need two names"
        )
    if row["label"]:
        start_s, end_s = (cell_number(row, column, place) for column in ("start", "end"))
        collector.add_action(name, row["label"], start_s, end_s, place)
