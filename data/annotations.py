"""Annotations as they are published, read strictly: every complaint names the file and the row."""

import csv
import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from afsd_jax import activitynet_json
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo

TEST_PERCENT = 20  # of the videos without a subset that go to the split test

Annotations = dict[str, AnnotatedVideo]  # by the video's name


def read(path: str | os.PathLike[str]) -> Annotations:
    """Reads ActivityNet JSON or CSV, told apart by the file's suffix."""
    path = Path(path)
    if path.suffix.lower() == ".csv":
        return read_csv(path)
    if path.suffix.lower() == ".json":
        return read_activitynet(path)
    raise UserError(f"{path}: annotations must be a .json (ActivityNet's format) or .csv file")


def read_activitynet(path: str | os.PathLike[str]) -> Annotations:
    """Reads a ground truth file of ActivityNet's format."""
    videos = activitynet_json.read_ground_truth(path)
    for name, video in videos.items():
        check_name(name, "video name", video.place)
    return videos


def read_csv(path: str | os.PathLike[str]) -> Annotations:
    """Reads a CSV file with the columns video, label, start, end (seconds) and perhaps subset.

    A row with an empty label lists a video without actions.
    """
    rows: dict[str, list[Action]] = {}
    subsets: dict[str, tuple[str, str]] = {}
    for place, row in read_rows(path, ("video", "label", "start", "end")):
        name, subset = row["video"], row.get("subset", "")
        check_name(name, "video name", place)
        known, first = subsets.setdefault(name, (subset, place))
        if known != subset:
            raise UserError(
                f"{place}: video {name!r} has subset {subset!r} here and {known!r} in {first}"
            )
        actions = rows.setdefault(name, [])
        if row["label"]:
            start_s, end_s = number(row, "start", place), number(row, "end", place)
            actions.append(Action(row["label"], start_s, end_s, None, place))
    return {
        name: AnnotatedVideo(subsets[name][0], None, tuple(actions), subsets[name][1])
        for name, actions in rows.items()
    }


def read_rows(
    path: str | os.PathLike[str], columns: Iterable[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields (place, row) of a CSV file with a header line; cells are stripped of blanks.

    Raises:
      UserError: the file cannot be read, or a column or cell is missing.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{path}: column {missing[0]!r} is missing: the first line must name "
                    f"{', '.join(columns)}"
                )
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise UserError(f"{place}: must have {len(reader.fieldnames or ())} cells")
                yield place, {key: value.strip() for key, value in row.items()}
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error})") from error


def number(row: Mapping[str, str], column: str, place: str) -> float:
    """Returns a cell as a finite number."""
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{place}: {column} must be a number, is {row[column]!r}")
    return value


def class_names(videos: Annotations, known: Iterable[str] | None = None) -> list[str]:
    """Returns the classes, sorted, after checking every label.

    Args:
      videos: annotations.
      known: the only labels allowed, in their order; None allows every label.

    Raises:
      UserError: a label is unknown, empty, or would be no safe file name.
    """
    names = list(known) if known is not None else []
    seen = set(names)
    for video in videos.values():
        for action in video.actions:
            check_name(action.label, "label", action.place)
            if action.label not in seen:
                if known is not None:
                    raise UserError(
                        f"{action.place}: unknown label {action.label!r}; the classes are "
                        f"{', '.join(names)}"
                    )
                seen.add(action.label)
    return names if known is not None else sorted(seen)


def read_class_list(path: Path) -> list[str]:
    """Reads a text file of labels, one a line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text") from error
    return [line.strip() for line in lines if line.strip()]


def check_order(videos: Annotations) -> None:
    """Raises UserError for an action that ends before it starts or starts before the video."""
    for video in videos.values():
        for action in video.actions:
            if action.end_s <= action.start_s:
                raise UserError(
                    f"{action.place}: ends at {action.end_s:g} s, not after its start at "
                    f"{action.start_s:g} s"
                )
            if action.start_s < 0:
                raise UserError(f"{action.place}: starts at {action.start_s:g} s, before 0")


def stable_split(name: str) -> str:
    """Returns train or test, by the video's name alone: the same in every run and collection."""
    value = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return "test" if value % 100 < TEST_PERCENT else "train"


def check_name(name: str, what: str, place: str) -> None:
    """Raises UserError for a name that would be no safe file name."""
    if not name:
        raise UserError(f"{place}: the {what} is empty")
    if "/" in name or "\\" in name or name in (".", "..") or not name.isprintable():
        raise UserError(
            f"{place}: the {what} {name!r} must not hold slashes or control characters, nor be "
            "'.' or '..'"
        )
