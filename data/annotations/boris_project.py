"""Projects of BORIS (.boris): JSON with the behaviors and the observations with their events.

A state is two events of one subject and one set of modifiers: the first starts it, the next stops
it. So actions of one class that overlap belong to different subjects here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from afsd_jax.data.annotations.boris import PATH, SEVERAL, Export
from afsd_jax.data.annotations.marks import Span, date_now, labels_of, lanes_of, spans_of
from afsd_jax.errors import UserError
from afsd_jax.io.json_fields import field, number, read_list, require_dict, shown
from afsd_jax.types import MarkedVideo

_VERSION = "7.0"  # of the format, in BORIS 7 to 9
_PLAYERS = tuple(map(str, range(1, 9)))
_KEYS = "abcdefghijklmnopqrstuvwxyz0123456789"


def is_project(content: Any) -> bool:
    """Returns whether the content of a JSON file is a project."""
    return isinstance(content, dict) and {"behaviors_conf", "observations"} <= content.keys()


def read_project(path: Path, content: Any) -> Export:
    """Returns the events of a project by the names of the columns that BORIS exports.

    Raises:
      UserError: the content is no project. Other errors are raised when the events are read.
    """
    if not is_project(content):
        raise UserError(f'{path}: "observations" is missing; save the project again in BORIS')
    return Export(path, "", _rows(path, content), is_table=False)


def _rows(path: Path, content: dict[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    behaviors = require_dict(content["behaviors_conf"], f"{path}: behaviors_conf")
    kinds: dict[str, str] = {}
    for key, value in behaviors.items():
        behavior = require_dict(value, f"{path}: behaviors_conf[{key!r}]")
        kinds[str(behavior.get("code"))] = str(behavior.get("type", ""))
    observations = require_dict(content["observations"], f"{path}: observations")
    for name, value in observations.items():
        place = f"{path}: observations[{name!r}]"
        observation = require_dict(value, place)
        video = {
            "Observation id": name,
            PATH: _media(observation, place),
            "Time offset (s)": str(observation.get("time offset", 0)),
        }
        yield place, video
        yield from _events(observation, kinds, video, place)


def _media(observation: dict[str, Any], place: str) -> str:
    """Returns the video of the first player; other players show the same times."""
    files = require_dict(observation.get("file") or {}, f"{place}.file")
    paths = read_list(files.get("1") or [], f"{place}.file['1']", lambda path, _: str(path))
    offsets = observation.get("media_info") or {}
    offsets = offsets.get("offset") if isinstance(offsets, dict) else {}
    if isinstance(offsets, dict) and number(offsets.get("1", 0), f"{place}.media_info.offset"):
        raise UserError(f"{place}: its video has an offset; set it to 0 in BORIS")
    if len(paths) > 1:
        raise UserError(f"{place}: has several videos; {SEVERAL}")
    if not paths:
        raise UserError(f"{place}: names no video file; only observations of videos can be read")
    return paths[0]


def _events(
    observation: dict[str, Any], kinds: Mapping[str, str], video: Mapping[str, str], place: str
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yields the rows of an observation's events, in the order of their times."""

    def parse(value: Any, at: str) -> tuple[float, str, list[str]]:
        if not isinstance(value, list) or len(value) < 4:
            raise UserError(f"{at} must be [time, subject, code, modifier, …], not {shown(value)}")
        return number(value[0], f"{at}[0]"), at, list(map(str, value[1:4]))

    events = read_list(field(observation, "events", place), f"{place}.events", parse)
    running: set[tuple[str, ...]] = set()
    for time_s, at, (subject, code, modifier) in sorted(events, key=lambda event: event[0]):
        if code not in kinds:
            raise UserError(f"{at}: the behavior {code!r} is not among the project's behaviors")
        state = (subject, code, modifier)
        kind = "STOP" if state in running else "START"
        if kinds[code].upper().startswith("POINT"):
            kind = "POINT"
        else:
            running ^= {state}
        yield (
            at,
            {
                **video,
                "Subject": subject,
                "Behavior": code,
                "Modifiers": modifier,
                "Behavior type": kind,
                "Time": repr(time_s),
            },
        )


def project_text(videos: Sequence[MarkedVideo], path: Path) -> str:
    """Returns a project with an observation for each video, named as the video.

    Each class is a state event. Scores are comments of the events that start an action.

    Args:
      videos: the videos; their files, lengths and frame rates must be known, because BORIS reads
        them from the project.
      path: the file that will be written.

    Raises:
      UserError: a length or a frame rate is unknown, or a label has a character that BORIS does
        not allow.
    """
    labels = labels_of(videos)
    for label in labels:
        if "|" in label:
            raise UserError(f"the label {label!r}: BORIS does not allow | in a behavior's name")
    observations = {video.name: _observation(video) for video in videos}
    subjects = {event[1] for entry in observations.values() for event in entry["events"]} - {""}
    project = {
        "time_format": "hh:mm:ss",
        "project_date": date_now()[:19],
        "project_name": path.stem,
        "project_description": "",
        "project_format_version": _VERSION,
        "subjects_conf": {
            str(index): {"key": "", "name": name, "description": "overlapping actions of a class"}
            for index, name in enumerate(sorted(subjects))
        },
        "behaviors_conf": {
            str(index): _behavior(label, index) for index, label in enumerate(labels)
        },
        "observations": observations,
        "behavioral_categories": [],
        "independent_variables": {},
        "coding_map": {},
        "behaviors_coding_map": [],
        "converters": {},
    }
    return json.dumps(project, indent=1) + "\n"


def _behavior(label: str, index: int) -> dict[str, Any]:
    return {
        "type": "State event",
        "key": _KEYS[index] if index < len(_KEYS) else "",
        "code": label,
        "description": "",
        "color": "",
        "category": "",
        "modifiers": {},
        "excluded": "",
        "coding map": "",
    }


def _observation(video: MarkedVideo) -> dict[str, Any]:
    if video.path is None or not video.duration_s or not video.fps:
        raise UserError(
            f"{video.name}: BORIS needs the length and the frame rate of each video; also give "
            "the video file"
        )
    file = str(video.path.absolute())
    return {
        "file": {player: [file] if player == "1" else [] for player in _PLAYERS},
        "type": "MEDIA",
        "date": date_now()[:19],
        "description": "",
        "events": _event_list(spans_of(video, 1000), video.fps),
        "time offset": 0.0,
        "observation time interval": [0, 0],
        "independent_variables": {},
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "media_creation_date_as_offset": False,
        "media_scan_sampling_duration": 0,
        "image_display_duration": 1,
        "close_behaviors_between_videos": False,
        "media_info": {
            "length": {file: round(video.duration_s, 3)},
            "fps": {file: round(video.fps, 3)},
            "hasVideo": {file: True},
            "offset": {"1": 0.0},
        },
    }


def _event_list(spans: Sequence[Span], fps: float) -> list[list[Any]]:
    """Returns [time, subject, behavior, modifiers, comment, frame] of starts and stops."""
    events = []
    for label, of_label in groupby(sorted(spans, key=lambda s: (s.label, s)), lambda s: s.label):
        for lane, members in enumerate(lanes_of(of_label)):
            subject = f"overlap {lane + 1}" if lane else ""
            for span in members:
                comment = "" if span.score is None else f"score {span.score:.3f}"
                for time, text in ((span.start, comment), (span.end, "")):
                    time_s = time / 1000
                    events.append([time_s, subject, label, "", text, int(time_s * fps + 1e-6)])
    return sorted(events, key=lambda event: event[0])
