"""A self-contained HTML page of an evaluation: its errors, their costs, and their videos."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from afsd_jax.evaluation import Tables
from afsd_jax.report.colors import class_colors
from afsd_jax.report.evaluation_view import KINDS, LOST, MISSED, Curve, EvaluationView
from afsd_jax.report.playback import playback
from afsd_jax.report.render import Script, counted, write_html
from afsd_jax.report.tracks import known_first

CASES = (  # scripts of charts whose bars open a player of the cases behind them
    "words_and_colors.js",
    "lanes.js",
    "timeline.js",
    "gestures.js",
    "player.js",
    "evaluation_charts.js",
    "evaluation_cases.js",
)
MOST_DETECTIONS = 100_000  # on a page
MOST_POINTS = 100  # of a curve, and as many between them


def write_evaluation(
    path: str | os.PathLike[str],
    view: EvaluationView,
    *,
    title: str = "Evaluation",
    notes: Sequence[str] = (),
    files: Mapping[str, str | os.PathLike[str]] | None = None,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes one HTML file that shows an evaluation.

    Args:
      path: file to write, completely or not at all.
      view: the evaluation.
      title: heading of the page.
      notes: lines about the data.
      files: video files to play, by name of the video.
      labels: all classes, which fix the colours; default: those of the ground truth.
    """
    script = Script.of_files(*CASES, "evaluation_page.js")
    data = _data(view, path, files or {}, class_colors(known_first(labels, view.tables.classes)))
    tables = view.tables
    shown = len(data["ranks"])
    write_html(
        path,
        "evaluation_page.html",
        title=title,
        subtitle=f"{_counts(tables)}; "
        + ("all are" if shown == len(tables.scores) else f"the {shown:,} best of their classes are")
        + " shown",
        policy=script.policy,
        script=script.text,
        figures=view.figures,
        headline=view.headline,
        notes=notes,
        measures=view.measures,
        to_label=view.to_label,
        error=f"{view.calibration[3]:.3f}",
        data=data,
    )


def _counts(tables: Tables) -> str:
    videos, actions = counted(len(tables.videos), "video"), counted(len(tables.actions), "action")
    classes = counted(len(tables.classes), "class", "es")
    return f"{videos}, {actions} of {classes}, {counted(len(tables.scores), 'detection')}"


def _data(
    view: EvaluationView,
    page: str | os.PathLike[str],
    files: Mapping[str, str | os.PathLike[str]],
    colors: Mapping[str, str],
) -> dict[str, Any]:
    """Returns the script's data."""
    tables, chosen = view.tables, _strongest(view)
    rows = view.rows[chosen]
    return {
        "classes": [{"name": name, "color": colors[name]} for name in tables.classes],
        "videos": videos_of(tables, rows, page, files),
        "tious": [float(f"{tiou:g}") for tiou in view.tious],
        "chosen": view.chosen,
        "operatingTiou": float(f"{view.tiou:g}"),
        "actions": columns(tables.action_videos, tables.action_classes, tables.actions),
        "detections": columns(
            tables.detection_videos[rows], tables.detection_classes[rows], tables.detections[rows]
        )
        | {"scores": rounded(tables.scores[rows], 6)},
        "ranks": view.ranks[chosen].tolist(),
        "targets": view.targets[chosen].tolist(),
        "kinds": [_digits(kinds[chosen]) for kinds in view.kinds],
        "reasons": [_digits(reasons) for reasons in view.reasons],
        "takenFor": view.taken_for.tolist(),
        "ap": rounded(view.ap, 6),
        "gains": rounded(view.gains, 6),
        "groups": [
            {"name": name, "bins": [{"name": text, "rows": rows.tolist()} for text, rows in bins]}
            for name, bins in view.groups.items()
        ],
        "curves": [_curve(view.curves[label]) for label in (*tables.classes, "")],
        "calibration": [column.tolist() for column in view.calibration[:3]],
        "errors": [
            {"name": name, "color": color, "title": title, "sentence": text, "hint": text}
            for name, color, title, text in KINDS
        ],
        "gained": [
            {"name": name, "color": color, "hint": text}
            for name, color, _, text in (*KINDS[1:], MISSED)
        ],
        "lost": LOST,
    }


def videos_of(
    tables: Tables,
    rows: NDArray[np.int64],
    page: str | os.PathLike[str],
    files: Mapping[str, str | os.PathLike[str]],
) -> list[dict[str, Any]]:
    """Returns name, duration and, of those with a file, `Playback` of each video.

    Args:
      tables: ground truth and detections.
      rows: detections that are shown; an unknown duration is that of the last segment.
      page: path of the page.
      files: video files by name.
    """
    ends = np.zeros(len(tables.videos))
    np.maximum.at(ends, tables.action_videos, tables.actions[:, 1])
    np.maximum.at(ends, tables.detection_videos[rows], tables.detections[rows, 1])
    durations = np.where(np.isfinite(tables.durations), tables.durations, ends)
    return [
        {
            "name": name,
            "duration": round(max(float(duration), 0.1), 3),
            **(playback(files[name], page)._asdict() if name in files else {"url": None}),
        }
        for name, duration in zip(tables.videos, durations, strict=True)
    ]


def _strongest(view: EvaluationView) -> NDArray[np.int64]:
    """Returns positions in `rows` by descending score, those of the least ranks if too many."""
    order = np.argsort(-view.tables.scores[view.rows], kind="stable")
    if len(order) > MOST_DETECTIONS:
        kept = np.argsort(view.ranks[order], kind="stable")[:MOST_DETECTIONS]
        order = order[np.sort(kept)]
    return order


def columns(
    videos: NDArray[np.int64], labels: NDArray[np.int64], segments: NDArray[np.float64]
) -> dict[str, list[Any]]:
    """Returns segments as columns, which take a third of the size of named rows."""
    starts, ends = rounded(segments.T, 3)
    return {"videos": videos.tolist(), "labels": labels.tolist(), "starts": starts, "ends": ends}


def _curve(curve: Curve) -> dict[str, Any]:
    """Returns a curve with few points, and the point of best F1."""
    # Precision rises at right detections and falls until the next one.
    right = np.flatnonzero(np.diff(curve.recall, prepend=0) > 0)
    if len(right) > MOST_POINTS:
        right = right[np.linspace(0, len(right) - 1, MOST_POINTS).round().astype(int)]
    last = [len(curve.recall) - 1] if len(curve.recall) else []
    ends = [] if curve.best is None else [curve.best]
    places = np.unique(np.concatenate([right, np.maximum(right - 1, 0), last, ends]).astype(int))
    points = np.stack([curve.recall[places], curve.precision[places]], axis=-1)
    return {"curve": rounded(points, 4), "best": curve.best_point, "confidence": curve.confidence}


def _digits(values: NDArray[np.int64]) -> str:
    """Returns small numbers as a text of digits."""
    return (values.astype(np.uint8) + ord("0")).tobytes().decode("ascii")


def rounded(values: ArrayLike, digits: int) -> list[Any]:
    return np.round(np.asarray(values, np.float64), digits).tolist()
