"""ActivityNet's JSON: ground truth and predictions, read strictly and written whole.

The field's two file formats, the one way in which annotations enter and detections leave:

    {"database": {video: {"subset": …, "duration": …,
                          "annotations": [{"segment": [start_s, end_s], "label": …}]}}}
    {"version": …, "external_data": {},
     "results": {video: [{"label": …, "score": …, "segment": [start_s, end_s]}]}}

Published files write numbers as strings now and then, so both are read.
"""

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

from afsd_jax import files
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo, Detection


def read_ground_truth(
    path: str | os.PathLike[str], subset: str | None = None
) -> dict[str, AnnotatedVideo]:
    """Reads an ActivityNet ground truth file.

    Args:
      path: the JSON file.
      subset: if given, only the videos of this subset are returned, and every video must have one.

    Returns:
      The videos by name, in the file's order. An action may end before it starts or after the
      video's end, as some published ones do: judging that is the reader's part.

    Raises:
      UserError: the file is missing, no JSON, or malformed anywhere (the message says where), or
        no video belongs to `subset`.
    """
    videos: dict[str, AnnotatedVideo] = {}
    for name, entry in _table(path, "database").items():
        place = f"database[{name!r}]"
        try:
            video = _video(entry, f"{path}: {place}")
            if subset is not None and not video.subset:
                raise _Malformed(".subset", "is missing: add it, or choose no subset")
        except _Malformed as error:
            raise error.at(path, place) from None
        videos[name] = video
    if subset is None:
        return videos
    chosen = {name: video for name, video in videos.items() if video.subset == subset}
    if not chosen:
        present = ", ".join(sorted({video.subset for video in videos.values()})) or "none"
        raise UserError(f"{path}: no video has subset {subset!r}; the file's subsets: {present}")
    return chosen


def read_predictions(path: str | os.PathLike[str]) -> dict[str, list[Detection]]:
    """Reads an ActivityNet predictions file.

    Returns:
      Each video's detections, in the file's order.

    Raises:
      UserError: the file is missing, no JSON, or malformed anywhere (the message says where).
    """
    results: dict[str, list[Detection]] = {}
    for name, entries in _table(path, "results").items():
        place = f"results[{name!r}]"
        try:
            results[name] = _list(entries, _detection)
        except _Malformed as error:
            raise error.at(path, place) from None
    return results


def write_ground_truth(
    path: str | os.PathLike[str], videos: Mapping[str, AnnotatedVideo], version: str = ""
) -> None:
    """Writes annotated videos as an ActivityNet ground truth file, in one piece or not at all.

    Raises:
      UserError: the file cannot be written.
    """
    database = {
        name: {
            "subset": video.subset,
            "duration": video.duration_s,
            "annotations": [
                {"segment": [action.start_s, action.end_s], "label": action.label}
                for action in video.actions
            ],
        }
        for name, video in videos.items()
    }
    files.write_json(path, ({"version": version} if version else {}) | {"database": database})


def write_predictions(
    path: str | os.PathLike[str],
    results: Mapping[str, Iterable[Detection]],
    version: str = "afsd_jax",
) -> None:
    """Writes detections by video as an ActivityNet predictions file, in one piece or not at all.

    Raises:
      UserError: the file cannot be written.
    """
    files.write_json(
        path,
        {
            "version": version,
            "external_data": {},
            "results": {
                video: [
                    {
                        "label": detection.label,
                        "score": float(detection.score),
                        "segment": [float(detection.start_s), float(detection.end_s)],
                    }
                    for detection in detections
                ]
                for video, detections in results.items()
            },
        },
    )


class _Malformed(Exception):
    """A problem at a field of an entry; whoever knows more of the path prepends it with `at`."""

    def __init__(self, field: str, problem: str):
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def at(self, path: str | os.PathLike[str], place: str) -> UserError:
        return UserError(f"{path}: {place}{self.field} {self.problem}")


def _table(path: str | os.PathLike[str], key: str) -> dict[str, Any]:
    content = files.read_json(path)
    if not isinstance(content, dict) or key not in content:
        raise UserError(f'{path}: "{key}" is missing: the file must be {{"{key}": {{video: …}}}}')
    table = content[key]
    if not isinstance(table, dict):
        raise UserError(f'{path}: "{key}" must map video names to entries, not {_shown(table)}')
    return table


def _video(entry: Any, place: str) -> AnnotatedVideo:
    _require_dict(entry)
    subset = _text(entry, "subset") if "subset" in entry else ""
    duration_s = _number(entry["duration"], ".duration") if "duration" in entry else None
    if duration_s is not None and duration_s < 0:
        raise _Malformed(".duration", f"must not be negative, is {duration_s:g}")
    if "annotations" not in entry:
        raise _Malformed(".annotations", "is missing: write [] for a video without actions")
    try:
        actions = _list(entry["annotations"], _action)
    except _Malformed as error:
        raise _Malformed(".annotations" + error.field, error.problem) from None
    placed = (
        dataclasses.replace(action, place=f"{place}.annotations[{i}]")
        for i, action in enumerate(actions)
    )
    return AnnotatedVideo(subset, duration_s, tuple(placed), place)


def _action(entry: Any) -> Action:
    _require_dict(entry)
    return Action(_text(entry, "label"), *_segment(entry))


def _detection(entry: Any) -> Detection:
    _require_dict(entry)
    if "score" not in entry:
        raise _Malformed(".score", "is missing")
    return Detection(_text(entry, "label"), _number(entry["score"], ".score"), *_segment(entry))


def _list(value: Any, parse: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Malformed("", f"must be a list, not {_shown(value)}")
    parsed = []
    for index, entry in enumerate(value):
        try:
            parsed.append(parse(entry))
        except _Malformed as error:
            raise _Malformed(f"[{index}]{error.field}", error.problem) from None
    return parsed


def _require_dict(entry: Any) -> None:
    if not isinstance(entry, dict):
        raise _Malformed("", f"must be an object {{…}}, not {_shown(entry)}")


def _text(entry: dict[str, Any], field: str) -> str:
    if field not in entry:
        raise _Malformed(f".{field}", "is missing")
    value = entry[field]
    if not isinstance(value, str) or not value or not _encodable(value):
        raise _Malformed(f".{field}", f"must be a non-empty text, not {_shown(value)}")
    return value


def _segment(entry: dict[str, Any]) -> tuple[float, float]:
    if "segment" not in entry:
        raise _Malformed(".segment", "is missing")
    segment = entry["segment"]
    if not isinstance(segment, list) or len(segment) != 2:
        raise _Malformed(".segment", f"must be [start, end] in seconds, not {_shown(segment)}")
    return _number(segment[0], ".segment[0]"), _number(segment[1], ".segment[1]")


def _number(value: Any, field: str) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise _Malformed(field, f"must be a finite number, not {_shown(value)}")


def _encodable(text: str) -> bool:
    """JSON can smuggle in lone surrogates, which could be written nowhere later."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
