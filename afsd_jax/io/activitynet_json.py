"""ActivityNet's JSON files, ground truth and predictions, read strictly.

All annotations are read from, and all detections written to, these two formats:

    {"database": {video: {"subset": …, "duration": …,
                          "annotations": [{"segment": [start_s, end_s], "label": …}]}}}
    {"version": …, "external_data": {},
     "results": {video: [{"label": …, "score": …, "segment": [start_s, end_s]}]}}

Some published files write numbers as strings, so both are read.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.detection_notes import NO_NOTES, DetectionNotes
from afsd_jax.io.json_fields import field, number, read_list, require_dict, shown, text
from afsd_jax.io.names import with_composed_names
from afsd_jax.types import Action, AnnotatedVideo, Detection, MarkedVideo

VERSION = "afsd_jax"


def read_ground_truth(
    path: str | os.PathLike[str], subset: str | None = None
) -> dict[str, AnnotatedVideo]:
    """Reads an ActivityNet ground truth file.

    Args:
      path: the JSON file.
      subset: if given, only the videos of this subset are returned, and every video must have one.

    Returns:
      The videos by name, in the file's order. As in some published files, an action may end before
      it starts or after the video's end: callers must check that.

    Raises:
      UserError: the file is missing, not JSON or malformed (the message says where), or no video
        belongs to `subset`.
    """
    videos = parse_ground_truth(files.read_json(path), path)
    return videos if subset is None else choose_subset(videos, subset, path)


def parse_ground_truth(content: Any, path: str | os.PathLike[str]) -> dict[str, AnnotatedVideo]:
    """Returns the videos in the content of a ground truth file; see `read_ground_truth`."""
    videos = {
        name: _video(entry, f"{path}: database[{name!r}]")
        for name, entry in _table(content, "database", path).items()
    }
    return with_composed_names(videos, str(path))


def choose_subset(
    videos: Mapping[str, AnnotatedVideo], subset: str, path: str | os.PathLike[str]
) -> dict[str, AnnotatedVideo]:
    """Returns the videos of a subset.

    Raises:
      UserError: a video has no subset, or no video has this one.
    """
    for video in videos.values():
        if not video.subset:
            raise UserError(f"{video.place}.subset is missing: add it, or choose no subset")
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
      UserError: the file is missing, not JSON or malformed (the message says where), or two names
        of videos are the same when composed.
    """
    return with_composed_names(predictions_of(files.read_json(path), path), str(path))


def predictions_of(content: Any, path: str | os.PathLike[str]) -> dict[str, list[Detection]]:
    """Returns each video's detections in the content of the predictions file at `path`.

    Raises:
      UserError: the content is malformed.
    """
    return {
        name: read_list(entries, f"{path}: results[{name!r}]", _detection)
        for name, entries in _table(content, "results", path).items()
    }


def write_ground_truth(
    path: str | os.PathLike[str], videos: Mapping[str, AnnotatedVideo], version: str = ""
) -> None:
    """Writes annotated videos as an ActivityNet ground truth file, completely or not at all.

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


def ground_truth_text(videos: Iterable[MarkedVideo]) -> str:
    """Returns a ground truth file; an unknown subset or length is left out.

    An annotation that was detected also has its score, which readers pass over.
    """
    database = {}
    for video in videos:
        known = {"subset": video.subset or None, "duration": video.duration_s}
        actions = [
            {"segment": [float(mark.start_s), float(mark.end_s)], "label": mark.label}
            | ({"score": float(mark.score)} if isinstance(mark, Detection) else {})
            for mark in video.marks
        ]
        stated = {name: value for name, value in known.items() if value is not None}
        database[video.name] = {**stated, "annotations": actions}
    return files.json_text({"database": database})


def write_predictions(
    path: str | os.PathLike[str],
    results: Mapping[str, Iterable[Detection]],
    version: str = VERSION,
    external_data: Mapping[str, Any] | None = None,
) -> None:
    """Writes detections by video as an ActivityNet predictions file, completely or not at all.

    Args:
      path: file to write.
      results: detections by video.
      version: the file's field of this name.
      external_data: JSON values that describe how the detections were made.

    Raises:
      UserError: the file cannot be written.
    """
    files.write_json(path, predictions(results, version, external_data))


def predictions(
    results: Mapping[str, Iterable[Detection]],
    version: str = VERSION,
    external_data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the content of a predictions file; see `write_predictions`."""
    return {
        "version": version,
        "external_data": dict(external_data or {}),
        "results": {
            video: [detection_fields(detection) for detection in detections]
            for video, detections in results.items()
        },
    }


def detection_fields(detection: Detection) -> dict[str, Any]:
    """Returns one detection of a predictions file."""
    return {
        "label": detection.label,
        "score": float(detection.score),
        "segment": [float(detection.start_s), float(detection.end_s)],
    }


def join_predictions(
    path: str | os.PathLike[str],
    parts: Mapping[str, Path],
    notes: DetectionNotes = NO_NOTES,
) -> int:
    """Joins many predictions files, with lengths and damage of their videos, into one.

    The file is written completely or not at all; only one of the others is in memory at a time.

    Args:
      path: file to write.
      parts: for each video, the file with its detections.
      notes: what the file says of the scores.

    Returns:
      The number of detections.

    Raises:
      UserError: a file cannot be read or written.
    """
    count = 0
    damaged: dict[str, int] = {}
    durations_s: dict[str, float] = {}
    with (
        files.naming_failure(path),
        files.atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8") as file,
    ):
        file.write(f'{{\n "version": {json.dumps(VERSION)},\n "results": {{')
        for number, (name, part) in enumerate(parts.items()):
            content = files.read_json(part)
            detections = content["results"][name]
            made = content["external_data"]
            damaged |= made.get("damaged", {})
            durations_s[name] = made["duration_s"]
            count += len(detections)
            lines = ",\n".join(f"   {json.dumps(detection)}" for detection in detections)
            listed = f"[\n{lines}\n  ]" if lines else "[]"
            file.write(f"{',' if number else ''}\n  {json.dumps(name)}: {listed}")
        said = notes._replace(durations_s=durations_s, damaged=damaged).external_data()
        file.write(f'\n }},\n "external_data": {json.dumps(said)}\n}}\n')
    return count


def _table(content: Any, key: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    if not isinstance(content, dict) or key not in content:
        raise UserError(f'{path}: "{key}" is missing: the file must be {{"{key}": {{video: …}}}}')
    table = content[key]
    if not isinstance(table, dict):
        raise UserError(f'{path}: "{key}" must map video names to entries, not {shown(table)}')
    return table


def _video(entry: Any, place: str) -> AnnotatedVideo:
    require_dict(entry, place)
    subset = text(entry, "subset", place) if "subset" in entry else ""
    duration_s = number(entry["duration"], f"{place}.duration") if "duration" in entry else None
    if duration_s is not None and duration_s < 0:
        raise UserError(f"{place}.duration must not be negative, is {duration_s:g}")
    if "annotations" not in entry:
        raise UserError(f"{place}.annotations is missing: write [] for a video without actions")
    actions = read_list(entry["annotations"], f"{place}.annotations", _action)
    return AnnotatedVideo(subset, duration_s, tuple(actions), place)


def _action(entry: Any, place: str) -> Action:
    require_dict(entry, place)
    return Action(text(entry, "label", place), *_segment(entry, place), place=place)


def _detection(entry: Any, place: str) -> Detection:
    require_dict(entry, place)
    score = number(field(entry, "score", place), f"{place}.score")
    return Detection(text(entry, "label", place), score, *_segment(entry, place))


def _segment(entry: dict[str, Any], place: str) -> tuple[float, float]:
    segment, place = field(entry, "segment", place), f"{place}.segment"
    if not isinstance(segment, list) or len(segment) != 2:
        raise UserError(f"{place} must be [start, end] in seconds, not {shown(segment)}")
    return number(segment[0], f"{place}[0]"), number(segment[1], f"{place}[1]")
