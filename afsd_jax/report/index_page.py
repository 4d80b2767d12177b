"""A page that lists the pages of many videos and can be searched and sorted."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.report.colors import class_colors
from afsd_jax.report.render import Script, relative_url, write_html
from afsd_jax.report.tracks import MIN_SCORE, Track, clock, known_first, strongest

TOP = 3  # classes listed per video


class IndexEntry(NamedTuple):
    """The entry of one video in the list.

    Attributes:
      name: name of the video.
      page: path of its page.
      duration_s: length, seconds.
      num_detections: number of detections that reach the minimum score.
      classes: the classes detected most often, with their numbers of detections.
    """

    name: str
    page: Path
    duration_s: float
    num_detections: int
    classes: list[tuple[str, int]]


def index_entry(page: str | os.PathLike[str], track: Track, min_score: float) -> IndexEntry:
    """Returns the entry of a video; it counts detections that reach `min_score`."""
    shown = strongest(track.detections, min_score, len(track.detections))
    classes = Counter(detection.label for detection in shown).most_common(TOP)
    return IndexEntry(track.name, Path(page), track.duration_s, len(shown), classes)


def write_index(
    path: str | os.PathLike[str],
    entries: Sequence[IndexEntry],
    *,
    title: str = "Detected actions",
    min_score: float = MIN_SCORE,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes one HTML file that links to the pages of many videos.

    Args:
      path: file to write, completely or not at all.
      entries: the videos.
      title: heading of the page.
      min_score: minimum score of the counted detections.
      labels: all classes, which fix the colours; default: the classes of the entries.
    """
    named = sorted({label for entry in entries for label, _ in entry.classes})
    colors = class_colors(known_first(labels, named))
    script = Script.of_files("index_page.js")
    write_html(
        path,
        "index_page.html",
        title=title,
        min_score=min_score,
        policy=script.policy,
        script=script.text,
        total_s=clock(sum(entry.duration_s for entry in entries)),
        entries=[
            {
                "name": entry.name,
                "url": relative_url(entry.page, path),
                "duration_s": round(entry.duration_s, 3),
                "duration": clock(entry.duration_s),
                "count": entry.num_detections,
                "classes": [(label, count, colors[label]) for label, count in entry.classes],
            }
            for entry in entries
        ],
    )
