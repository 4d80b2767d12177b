"""BORIS's tabular exports, CSV or TSV: aggregated events, and events with START and STOP rows.

The columns differ between BORIS's versions; the columns read here are in all versions since 7.
Exports of events by older versions begin with lines about the observation, before the header.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from afsd_jax.data.annotations.collector import Annotations, Collector
from afsd_jax.data.annotations.tables import Line, cell_number, named_rows
from afsd_jax.errors import UserError

_MEDIA = ("Media file name", "Media file path", "Media file", "Source")
_NONE = ("", "NA", "Not found")
_SPAN = ("Start (s)", "Stop (s)")
_UNPAIRED = "correct it in BORIS (Observations > Check state events)"
_SEVERAL = (
    "BORIS counts time through all videos of an observation; make each video an observation "
    "of its own"
)


def find_header(lines: Sequence[Line]) -> int | None:
    """Returns the index of the line that is BORIS's header, or None."""
    for index, (_, cells) in enumerate(lines):
        names = set(cells)
        events = "Time" in names and names & {"Status", "Behavior type"}
        if "Behavior" in names and (names.issuperset(_SPAN) or events):
            return index
    return None


def read_boris(path: Path, lines: Sequence[Line]) -> Annotations:
    """Reads the lines from the header on; the labels are the behaviors.

    Events without duration (POINT) are left out, with a note.

    Raises:
      UserError: a state has no start or no end, a video is not named, or its times do not begin at
        its own start.
    """
    collector = Collector()
    observed: dict[str, str] = {}  # observation -> video
    open_states: dict[tuple[str, ...], tuple[float, str]] = {}
    aggregated = set(_SPAN) <= set(lines[0][1])
    for place, row in named_rows(path, lines, ("Behavior",)):
        name = collector.add_video(_media(row, place), place)
        observation = row.get("Observation id", "")
        if observed.setdefault(observation, name) != name:
            raise UserError(f"{place}: {observed[observation]!r} came before {name!r}; {_SEVERAL}")
        label, kind = row["Behavior"], row.get("Behavior type", "") or row.get("Status", "")
        if kind == "POINT":
            collector.leave_out(name, f"{label!r} has no length (POINT)", place)
        elif aggregated:
            start_s, end_s = (cell_number(row, column, place) for column in _SPAN)
            collector.add_action(name, label, start_s, end_s, place)
        else:
            modifiers = (cell for column, cell in row.items() if column.startswith("Modifier"))
            state = (observation, row.get("Subject", ""), label, *modifiers)
            time_s = cell_number(row, "Time", place)
            if kind == "START" and state not in open_states:
                open_states[state] = (time_s, place)
            elif kind == "STOP" and state in open_states:
                start_s, start_place = open_states.pop(state)
                collector.add_action(name, label, start_s, time_s, start_place)
            elif kind in ("START", "STOP"):
                raise UserError(f"{place}: {label!r} has one {kind} too many; {_UNPAIRED}")
            else:
                raise UserError(f"{place}: an event must be START, STOP or POINT, not {kind!r}")
    for (_, _, label, *_), (_, place) in open_states.items():
        raise UserError(f"{place}: {label!r} starts here but never stops; {_UNPAIRED}")
    return collector.annotations()


def _media(row: Mapping[str, str], place: str) -> str:
    """Returns the path of the video in a row."""
    if row.get("Time offset (s)", "").strip("0.:+-") not in ("", "NA"):
        raise UserError(f"{place}: the observation has a time offset; set it to 0 in BORIS")
    paths = []
    for column in _MEDIA:
        # Several players show the same times; the first one is used.
        player = re.sub(r"^player #\d+: ?", "", row.get(column, "").split("|")[0])
        if ";" in player:
            raise UserError(f"{place}: {column} names several videos; {_SEVERAL}")
        if player not in _NONE:
            paths.append(player)
    if not paths:
        raise UserError(f"{place}: names no video file; only observations of videos can be read")
    return paths[0]
