"""The plain table: video, label, start, end in seconds and, optionally, subset, group and crop."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.data.annotations.collector import Annotations, Collector, shown_name
from afsd_jax.data.annotations.marks import file_name, score_of
from afsd_jax.data.annotations.table_rows import Line, as_found, cell_number, line_shown, named_rows
from afsd_jax.data.annotations.video_matching import two_values
from afsd_jax.errors import UserError
from afsd_jax.io.names import split_name
from afsd_jax.io.spreadsheets import original_text, table_text
from afsd_jax.types import MarkedVideo

COLUMNS = ("video", "label", "start", "end")
_OPTIONAL = ("subset", "group", "crop")
_TEXTS = ("video", "label", *_OPTIONAL)
# Other names of the columns in people's tables, in lower case and without blanks and the like.
_OTHER_NAMES = {
    "video": "file filename videofile videoname videoid videopath mediafile media path",
    "label": "behavior behaviour action activity class classname category event name",
    "start": "begin onset from starttime starts startseconds startsec begintime tstart",
    "end": "stop offset to endtime ends endseconds endsec stoptime finish tend",
    "subset": "split set partition",
    "crop": "region roi",
}
_NAMED = {other: name for name, others in _OTHER_NAMES.items() for other in others.split()}


class _First(NamedTuple):
    """The properties of a video in its first row."""

    subset: str
    group: str
    place: str


def read_own_table(path: Path, lines: Sequence[Line]) -> Annotations:
    """Reads the lines of a table, whose columns may have other common names.

    A row with an empty label lists a video without actions. A video may be named with or without
    the suffix of its file and the folders above it.

    Raises:
      UserError: a column, a cell or a number is missing, a video has two subsets, groups or crops,
        or a name may be that of several videos.
    """
    lines = _with_own_names(lines)
    if lines and not set(COLUMNS) & {cell.lower() for cell in lines[0][1]}:
        raise UserError(
            f"{path}: the first line must name {', '.join(COLUMNS)}, or the table must be exported "
            f"from BORIS (Export events or Export aggregated events){as_found(lines)}"
        )
    collector = Collector()
    videos: dict[str, _First] = {}
    for place, row in named_rows(path, lines, COLUMNS, optional=_OPTIONAL):
        texts = {name: original_text(row[name]) for name in _TEXTS if name in row}
        with line_shown(row.values()):
            _add_row(collector, videos, row | texts, place)
    return collector.annotations(
        {file: first.subset for file, first in videos.items()},
        {file: first.group for file, first in videos.items()},
    )


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
    file = collector.add_video(row["video"], place)
    subset, group = row.get("subset", ""), row.get("group", "")
    first = videos.setdefault(file, _First(subset, group, place))
    if split_name(first.subset) != split_name(subset):
        raise two_values("subset", shown_name(file), (place, subset), (first.place, first.subset))
    if first.group != group:
        raise two_values("group", shown_name(file), (place, group), (first.place, first.group))
    if crop := row.get("crop", ""):
        collector.add_crop(file, crop, place)
    if row["label"]:
        start_s, end_s = (cell_number(row, column, place) for column in ("start", "end"))
        collector.add_action(file, row["label"], start_s, end_s, place)


def own_table_text(videos: Sequence[MarkedVideo], path: Path) -> str:
    """Returns the videos as comma-separated values; times have six decimals at most.

    Columns for the subset and the score are there if any video has a subset or any mark a score.
    Texts that a spreadsheet would take for formulas begin with an apostrophe, which
    `read_own_table` removes.
    """
    with_subset = any(video.subset for video in videos)
    with_score = any(score_of(mark) is not None for video in videos for mark in video.marks)
    extra = ("subset",) * with_subset + ("score",) * with_score

    rows: list[tuple[object, ...]] = [(*COLUMNS, *extra)]
    for video in videos:
        name, subset = file_name(video), (video.subset,) * with_subset
        for mark in video.marks:
            times = _rounded(mark.start_s, mark.end_s)
            score = (score_of(mark),) * with_score
            rows.append((name, mark.label, *times, *subset, *score))
        if not video.marks:
            rows.append((name, "", "", "", *subset, *("",) * with_score))
    return table_text(rows)


def _rounded(start_s: float, end_s: float) -> tuple[float, float]:
    """Returns times with six decimals, at least one millionth of a second apart."""
    start_s = round(start_s, 6)
    return start_s, max(round(end_s, 6), round(start_s + 1e-6, 6))
