"""A page that lists the pages of many videos, to search and to sort."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.report.colors import class_colors
from afsd_jax.report.render import Script, relative_url, write_html
from afsd_jax.report.tracks import Track, clock, known_first, strongest

TOP = 3  # classes named of each video


class IndexEntry(NamedTuple):
    """What the list says of one video.

    Attributes:
      name: of the video.
      page: its page.
      duration_s: seconds.
      num_detections: that reach the least score.
      classes: those detected most often, and how often.
    """

    name: str
    page: Path
    duration_s: float
    num_detections: int
    classes: list[tuple[str, int]]


def index_entry(page: str | os.PathLike[str], track: Track, min_score: float) -> IndexEntry:
    """Returns what the list says of a video: of its detections that reach a score."""
    shown = strongest(track.detections, min_score, len(track.detections))
    classes = Counter(detection.label for detection in shown).most_common(TOP)
    return IndexEntry(track.name, Path(page), track.duration_s, len(shown), classes)


def write_index(
    path: str | os.PathLike[str],
    entries: Sequence[IndexEntry],
    *,
    title: str = "Detected actions",
    min_score: float = 0.1,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes one HTML file that links to the pages of many videos.

    Args:
      path: where to write it, in one piece or not at all.
      entries: the videos.
      title: the page's heading.
      min_score: that the detections reach which were counted.
      labels: all classes, to fix their colours; default: those that are named.
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
