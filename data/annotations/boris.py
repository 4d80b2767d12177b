"""BORIS's events: tabular exports, CSV or TSV, and the events of its projects.

Exports hold aggregated events, or events with START and STOP rows.
The columns differ between BORIS's versions; the columns read here are in all versions since 7.
Exports of events by older versions begin with lines about the observation, before the header.
"""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.data.annotations.collector import Annotations, Collector, shown_name
from afsd_jax.data.annotations.table_rows import Line, cell_number, line_shown, named_rows
from afsd_jax.errors import UserError

PATH = "path"  # column of the path of a single video, in rows of projects
_MEDIA = ("Media file name", "Media file path", "Media file", "Source")
_NONE = ("", "NA", "Not found")
_SPAN = ("Start (s)", "Stop (s)")
_UNPAIRED = "correct it in BORIS (Observations > Check state events)"
SEVERAL = (
    "BORIS counts time through all videos of an observation; make each video an observation "
    "of its own"
)


class Export(NamedTuple):
    """A file that BORIS has exported, or a project.

    Attributes:
      path: the file.
      observation: name of the observation, if it is stated before the header; otherwise "".
      rows: (place, row) of each event by the names of the exports' columns. A row without
        "Behavior" states only that its video was observed; rows of projects have `PATH`.
      is_table: whether a row is a line of the file.
    """

    path: Path
    observation: str
    rows: Iterable[tuple[str, Mapping[str, str]]]
    is_table: bool = True


def find_export(path: Path, lines: Sequence[Line]) -> Export | None:
    """Returns the export in the lines of a table, or None if BORIS's header is not among them."""
    observation = ""
    for index, (_, cells) in enumerate(lines):
        names = set(cells)
        events = "Time" in names and names & {"Status", "Behavior type"}
        if "Behavior" in names and (names.issuperset(_SPAN) or events):
            return Export(path, observation, named_rows(path, lines[index:], ("Behavior",)))
        if cells[0] == "Observation id" and len(cells) > 1:
            observation = cells[1]
    return None


def read_boris(exports: Sequence[Export]) -> Annotations:
    """Reads exports as if all rows were in one; the labels are the behaviors.

    Events without duration (POINT) are left out, with a note. Several observations of one video are
    put together, with a note.

    Raises:
      UserError: a state has no start or no end, a video is not named, its times do not begin at its
        own start, or an observation is in two files.
    """
    reader = _Reader()
    for export in exports:
        reader.read(export)
    return reader.annotations()


class _Reader:
    """The observations that were read so far."""

    def __init__(self) -> None:
        self._collector = Collector(observed=True)
        self._observed: dict[str, dict[str, str]] = {}  # video -> place by observation
        self._exports: dict[str, tuple[str, Path]] = {}  # observation -> its video and file
        self._open: dict[tuple[str, ...], tuple[float, str]] = {}  # states that have not stopped

    def read(self, export: Export) -> None:
        """Reads the rows of one export."""
        for place, row in export.rows:
            with line_shown(row.values()) if export.is_table else contextlib.nullcontext():
                self._add_row(export, row, place)
        for (_, _, label, *_), (_, place) in self._open.items():
            raise UserError(f"{place}: {label!r} starts here but never stops; {_UNPAIRED}")

    def _add_row(self, export: Export, row: Mapping[str, str], place: str) -> None:
        file, observation = self._add_video(export, row, place)
        if "Behavior" not in row:
            return
        if row.get("Behavior type", "") == "POINT" or row.get("Status", "") == "POINT":
            self._collector.leave_out(file, f"{row['Behavior']!r} has no length (POINT)", place)
        elif row.keys() >= set(_SPAN):
            start_s, end_s = (cell_number(row, column, place) for column in _SPAN)
            self._collector.add_action(file, row["Behavior"], start_s, end_s, place)
        else:
            self._add_event(file, observation, row, place)

    def _add_video(self, export: Export, row: Mapping[str, str], place: str) -> tuple[str, str]:
        """Returns the path of a row's video and the name of its observation."""
        file = self._collector.add_video(_media(row, place), place)
        observation = row.get("Observation id", "") or export.observation or str(export.path)
        video, path = self._exports.setdefault(observation, (file, export.path))
        if path != export.path:
            raise UserError(
                f"{place}: observation {observation!r} is also in {path}; keep one export of it"
            )
        if video != file:
            before, now = (shown_name(path) for path in (video, file))
            if before == now:
                before, now = video, file
            raise UserError(f"{place}: {before!r} came before {now!r}; {SEVERAL}")
        self._observed.setdefault(file, {}).setdefault(observation, place)
        return file, observation

    def _add_event(self, file: str, observation: str, row: Mapping[str, str], place: str) -> None:
        """Adds a START, or pairs a STOP with its START."""
        label, kind = row["Behavior"], row.get("Behavior type", "") or row.get("Status", "")
        modifiers = (cell for column, cell in row.items() if column.startswith("Modifier"))
        state = (observation, row.get("Subject", ""), label, *modifiers)
        time_s = cell_number(row, "Time", place)
        if kind == "START" and state not in self._open:
            self._open[state] = (time_s, place)
        elif kind == "STOP" and state in self._open:
            start_s, start_place = self._open.pop(state)
            self._collector.add_action(file, label, start_s, time_s, start_place)
        elif kind in ("START", "STOP"):
            raise UserError(f"{place}: {label!r} has one {kind} too many; {_UNPAIRED}")
        else:
            raise UserError(f"{place}: an event must be START, STOP or POINT, not {kind!r}")

    def annotations(self) -> Annotations:
        """Returns the videos."""
        for file, observed in self._observed.items():
            if len(observed) > 1:
                name, names = shown_name(file), ", ".join(map(repr, observed))
                self._collector.add_note(
                    file,
                    f"{list(observed.values())[-1]}: {name!r} has {len(observed)} observations "
                    f"({names}), which are put together; an action that is in two counts twice",
                )
        return self._collector.annotations()


def _media(row: Mapping[str, str], place: str) -> str:
    """Returns the path of the video in a row."""
    if row.get("Time offset (s)", "").strip("0.,:+-") not in ("", "NA"):
        raise UserError(f"{place}: the observation has a time offset; set it to 0 in BORIS")
    paths = [row[PATH]] if PATH in row else []
    for column in _MEDIA:
        # Several players show the same times; the first one is used.
        player = re.sub(r"^player #\d+: ?", "", row.get(column, "").split("|")[0])
        if ";" in player:
            raise UserError(f"{place}: {column} names several videos; {SEVERAL}")
        if player not in _NONE:
            paths.append(player)
    if not paths:
        raise UserError(f"{place}: names no video file; only observations of videos can be read")
    return paths[0]
