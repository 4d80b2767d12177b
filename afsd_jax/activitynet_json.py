"""ActivityNet's JSON: ground truth and predictions, read strictly and written whole.

The field's two file formats, the one way in which annotations enter and detections leave:

    {"database": {video: {"subset": …, "duration": …,
                          "annotations": [{"segment": [start_s, end_s], "label": …}]}}}
    {"version": …, "external_data": {},
     "results": {video: [{"label": …, "score": …, "segment": [start_s, end_s]}]}}

Published files write numbers as strings now and then, so both are read.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping
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
    videos = {
        name: _video(entry, f"{path}: database[{name!r}]", subset is not None)
        for name, entry in _table(path, "database").items()
    }
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
    return {
        name: _list(entries, f"{path}: results[{name!r}]", _detection)
        for name, entries in _table(path, "results").items()
    }


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


def _table(path: str | os.PathLike[str], key: str) -> dict[str, Any]:
    content = files.read_json(path)
    if not isinstance(content, dict) or key not in content:
        raise UserError(f'{path}: "{key}" is missing: the file must be {{"{key}": {{video: …}}}}')
    table = content[key]
    if not isinstance(table, dict):
        raise UserError(f'{path}: "{key}" must map video names to entries, not {_shown(table)}')
    return table


def _video(entry: Any, place: str, needs_subset: bool) -> AnnotatedVideo:
    _require_dict(entry, place)
    subset = _text(entry, "subset", place) if "subset" in entry else ""
    if needs_subset and not subset:
        raise UserError(f"{place}.subset is missing: add it, or choose no subset")
    duration_s = _number(entry["duration"], f"{place}.duration") if "duration" in entry else None
    if duration_s is not None and duration_s < 0:
        raise UserError(f"{place}.duration must not be negative, is {duration_s:g}")
    if "annotations" not in entry:
        raise UserError(f"{place}.annotations is missing: write [] for a video without actions")
    actions = _list(entry["annotations"], f"{place}.annotations", _action)
    return AnnotatedVideo(subset, duration_s, tuple(actions), place)


def _action(entry: Any, place: str) -> Action:
    _require_dict(entry, place)
    return Action(_text(entry, "label", place), *_segment(entry, place), place=place)


def _detection(entry: Any, place: str) -> Detection:
    _require_dict(entry, place)
    if "score" not in entry:
        raise UserError(f"{place}.score is missing")
    score = _number(entry["score"], f"{place}.score")
    return Detection(_text(entry, "label", place), score, *_segment(entry, place))


def _list(value: Any, place: str, parse: Callable[[Any, str], Any]) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{place} must be a list, not {_shown(value)}")
    return [parse(entry, f"{place}[{index}]") for index, entry in enumerate(value)]


def _require_dict(entry: Any, place: str) -> None:
    if not isinstance(entry, dict):
        raise UserError(f"{place} must be an object {{…}}, not {_shown(entry)}")


def _text(entry: dict[str, Any], field: str, place: str) -> str:
    if field not in entry:
        raise UserError(f"{place}.{field} is missing")
    value = entry[field]
    if not isinstance(value, str) or not value or not _encodable(value):
        raise UserError(f"{place}.{field} must be a non-empty text, not {_shown(value)}")
    return value


def _segment(entry: dict[str, Any], place: str) -> tuple[float, float]:
    if "segment" not in entry:
        raise UserError(f"{place}.segment is missing")
    segment, place = entry["segment"], f"{place}.segment"
    if not isinstance(segment, list) or len(segment) != 2:
        raise UserError(f"{place} must be [start, end] in seconds, not {_shown(segment)}")
    return _number(segment[0], f"{place}[0]"), _number(segment[1], f"{place}[1]")


def _number(value: Any, place: str) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise UserError(f"{place} must be a finite number, not {_shown(value)}")


def _encodable(text: str) -> bool:
    """JSON can smuggle in lone surrogates, which could be written nowhere later."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
