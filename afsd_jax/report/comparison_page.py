"""A self-contained HTML page that compares systems on the same videos."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.evaluation import Tables, by_class
from afsd_jax.report.colors import class_colors
from afsd_jax.report.evaluation_page import CASES, columns, rounded, videos_of
from afsd_jax.report.render import Script, counted, write_html
from afsd_jax.report.tracks import known_first

SHOWN = 2  # detections of a class, in multiples of its number of actions


class Pair(NamedTuple):
    """Two systems at H thresholds, on C classes.

    Attributes:
      names: names of the two systems.
      verdict: sentences.
      ap: [3, C, H] difference in AP, with the ends of its 95 % interval.
      only_first, only_second: for each threshold the rows of the actions that only one finds.
      both, neither: [H] numbers of actions.
    """

    names: tuple[str, str]
    verdict: str
    ap: NDArray[np.float64]
    only_first: Sequence[NDArray[np.int64]]
    only_second: Sequence[NDArray[np.int64]]
    both: NDArray[np.int64]
    neither: NDArray[np.int64]


def write_comparison(
    path: str | os.PathLike[str],
    systems: Mapping[str, Tables],
    tious: Sequence[float],
    chosen: int,
    pairs: Sequence[Pair],
    table: Sequence[Sequence[str]],
    *,
    files: Mapping[str, str | os.PathLike[str]] | None = None,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes one HTML file that compares systems.

    Args:
      path: file to write, completely or not at all.
      systems: detections of each system, with one ground truth.
      tious: thresholds.
      chosen: position of the threshold that is shown first.
      pairs: the compared pairs.
      table: mAP of each system: a header, then rows.
      files: video files to play, by name of the video.
      labels: all classes, which fix the colours; default: those of the ground truth.
    """
    script = Script.of_files(*CASES, "comparison_page.js")
    first = next(iter(systems.values()))
    colors = class_colors(known_first(labels, first.classes))
    rows = [_shown(tables) for tables in systems.values()]
    data = {
        "systems": list(systems),
        "classes": [{"name": name, "color": colors[name]} for name in first.classes],
        "videos": videos_of(first, rows[0], path, files or {}),
        "tious": [float(f"{tiou:g}") for tiou in tious],
        "chosen": chosen,
        "actions": columns(first.action_videos, first.action_classes, first.actions),
        "detections": [
            columns(
                tables.detection_videos[kept],
                tables.detection_classes[kept],
                tables.detections[kept],
            )
            | {"scores": rounded(tables.scores[kept], 6)}
            for tables, kept in zip(systems.values(), rows, strict=True)
        ],
        "pairs": [_pair(pair) for pair in pairs],
    }
    write_html(
        path,
        "comparison_page.html",
        title="Comparison of " + ", ".join(systems),
        subtitle=f"{counted(len(first.videos), 'video')}, {counted(len(first.actions), 'action')} "
        f"of {counted(len(first.classes), 'class', 'es')}",
        num_videos=len(first.videos),
        policy=script.policy,
        script=script.text,
        header=table[0],
        rows=table[1:],
        data=data,
    )


def _shown(tables: Tables) -> NDArray[np.int64]:
    """Returns rows of the best detections of each class."""
    limits = SHOWN * tables.num_actions
    kept = [rows[:limit] for rows, limit in zip(by_class(tables), limits, strict=True)]
    return np.sort(np.concatenate(kept))


def _pair(pair: Pair) -> dict[str, Any]:
    ap = np.moveaxis(pair.ap, -1, 0)  # [H, 3, C]
    return {
        "names": pair.names,
        "verdict": pair.verdict,
        "ap": [
            {"value": rounded(value, 6)}
            | ({} if np.isnan(low).any() else {"low": rounded(low, 6), "high": rounded(high, 6)})
            for value, low, high in ap
        ],
        "onlyFirst": [rows.tolist() for rows in pair.only_first],
        "onlySecond": [rows.tolist() for rows in pair.only_second],
        "both": pair.both.tolist(),
        "neither": pair.neither.tolist(),
    }
