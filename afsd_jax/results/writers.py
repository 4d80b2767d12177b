"""What is found in videos, written down: JSON, a page, subtitles, and the list of what failed."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import write_predictions
from afsd_jax.io.files import atomic_write
from afsd_jax.report.page import VideoReport, write_page
from afsd_jax.report.subtitles import write_subtitles
from afsd_jax.report.table import csv_text
from afsd_jax.report.timeline import draw_timeline
from afsd_jax.report.tracks import strongest
from afsd_jax.types import Detection

FORMATS = ("json", "csv", "vtt", "srt", "html", "png")
TITLE = "Detected actions"


class Choice(NamedTuple):
    """What people are shown of the detections; JSON files always hold all of them.

    min_score: weaker ones are not shown, or hidden at first where the reader can change that.
    top_k: only so many of a video, the best; None: all.
    labels: only these classes; None: all.
    classes: all there are, which fixes their colours; None: those that occur.
    """

    min_score: float = 0.1
    top_k: int | None = None
    labels: Sequence[str] | None = None
    classes: Sequence[str] | None = None

    def of(self, detections: Sequence[Detection]) -> list[Detection]:
        """Returns the best detections of the chosen classes, whatever their scores."""
        chosen = [d for d in detections if self.labels is None or d.label in self.labels]
        return strongest(chosen, 0.0, len(chosen) if self.top_k is None else self.top_k)

    def shown(self, video: VideoReport) -> VideoReport:
        """Returns a video with the chosen ones of its detections and of its true actions."""
        track = video.track._replace(detections=self.of(video.track.detections))
        if track.actions is not None and self.labels is not None:
            chosen = [action for action in track.actions if action.label in self.labels]
            track = track._replace(actions=chosen)
        return video._replace(track=track)


def write_outputs(
    args: argparse.Namespace,
    videos: Sequence[VideoReport],
    failed: Sequence[str],
    title: str = TITLE,
    choice: Choice | None = None,
) -> int:
    """Writes what a command line asks for.

    Args:
      args: `output`, and `report` and `subtitles`, which may be None.
      videos: with their detections.
      failed: why each of the other videos failed.
      title: of the page.
      choice: what is shown on the page and in subtitles; None: the default.

    Returns:
      The exit code: 1 if some videos failed, else 0.

    Raises:
      UserError: all of them failed.
    """
    if not videos:
        raise UserError(failed[0])
    choice = choice or Choice()
    results = {video.track.name: video.track.detections for video in videos}
    damaged = {video.track.name: video.damaged for video in videos if video.damaged}
    write_predictions(args.output, results, external_data={"damaged": damaged} if damaged else None)
    shown = [choice.shown(video) for video in videos]
    if args.report:
        min_score, classes = choice.min_score, choice.classes
        write_page(args.report, shown, title=title, min_score=min_score, labels=classes)
    if args.subtitles:
        for track in (video.track for video in shown):
            path = args.subtitles / f"{track.name}.srt"
            write_subtitles(path, track.detections, choice.min_score, track.duration_s)
    print(f"{args.output}: {sum(map(len, results.values()))} detections in {len(results)} videos")
    list_damaged(damaged)
    return list_failed(failed)


def list_damaged(damaged: Mapping[str, int]) -> None:
    """Says of which videos a part was not seen, a line each."""
    for name, count in damaged.items():
        what = "packets or frames; what could not be decoded was skipped"
        print(f"damaged: {name}: {count} {what}", file=sys.stderr)


def list_failed(failed: Sequence[str]) -> int:
    """Says why videos failed, a line each; returns the exit code."""
    for text in failed:
        print(f"failed: {text}", file=sys.stderr)
    return 1 if failed else 0


def write_shown(path: Path, video: VideoReport, choice: Choice) -> None:
    """Writes one video's detections for people; the path's suffix is one of `FORMATS` but json.

    Raises:
      UserError: the file cannot be written.
    """
    video = choice.shown(video)
    detections, min_score = video.track.detections, choice.min_score
    if path.suffix == ".csv":
        text = csv_text(strongest(detections, min_score, len(detections)))
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    elif path.suffix == ".html":
        title = f"{TITLE} in {video.track.name}"
        write_page(path, [video], title=title, min_score=min_score, labels=choice.classes)
    elif path.suffix == ".png":
        draw_timeline(path, [video.track], min_score=min_score, labels=choice.classes)
    else:
        write_subtitles(path, detections, min_score, video.track.duration_s)
