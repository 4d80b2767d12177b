"""Writes detections: JSON with all of them; a page, subtitles, a table or a picture for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.io.activitynet_json import write_predictions
from afsd_jax.io.detection_notes import NO_NOTES, DetectionNotes
from afsd_jax.io.files import atomic_write
from afsd_jax.io.video_names import file_name
from afsd_jax.report.page import VideoReport, write_page
from afsd_jax.report.subtitles import write_subtitles
from afsd_jax.report.table import csv_text
from afsd_jax.report.timeline import draw_timeline
from afsd_jax.report.tracks import MIN_SCORE, strongest
from afsd_jax.types import Detection

TITLE = "Detected actions"


class Selection(NamedTuple):
    """The choice of detections for people; JSON files always hold all of them.

    min_score: detections with lower scores are not shown, or are hidden at first where the reader
      can change that.
    top_k: number of detections shown per video, the best ones; None: all.
    labels: classes shown; None: all.
    classes: all existing classes, which determine the colours; None: those that occur.
    thresholds: minimum score of each class in tables, subtitles and pictures; other classes have
      `min_score`, where the reader of a page begins. None: `min_score` for all.
    """

    min_score: float = MIN_SCORE
    top_k: int | None = None
    labels: Sequence[str] | None = None
    classes: Sequence[str] | None = None
    thresholds: Mapping[str, float] | None = None

    def reached_by(self, detection: Detection) -> bool:
        """Returns whether a detection has the minimum score of its class."""
        return detection.score >= (self.thresholds or {}).get(detection.label, self.min_score)

    def reaching(self, detections: Sequence[Detection]) -> list[Detection]:
        """Returns the detections that have the minimum score of their class."""
        return [detection for detection in detections if self.reached_by(detection)]

    def best(self, detections: Sequence[Detection]) -> list[Detection]:
        """Returns the `top_k` best detections of the chosen classes, whatever their scores."""
        chosen = [d for d in detections if self.labels is None or d.label in self.labels]
        return strongest(chosen, 0.0, len(chosen) if self.top_k is None else self.top_k)

    def measured(self) -> DetectionNotes:
        """Returns the thresholds, if they were measured, for files that hold all detections."""
        if self.thresholds is None:
            return NO_NOTES
        return DetectionNotes(min_score=self.min_score, thresholds=self.thresholds)

    def shown(self, video: VideoReport) -> VideoReport:
        """Returns a video with only the chosen detections, and true actions of chosen classes."""
        track = video.track._replace(detections=self.best(video.track.detections))
        if track.actions is not None and self.labels is not None:
            chosen = [action for action in track.actions if action.label in self.labels]
            track = track._replace(actions=chosen)
        return video._replace(track=track)


def write_results(
    videos: Sequence[VideoReport],
    output: Path | None,
    report: Path | None = None,
    subtitles: Path | None = None,
    selection: Selection | None = None,
    title: str = TITLE,
    note: str = "",
) -> None:
    """Writes the detections of several videos.

    Args:
      videos: the videos with their detections.
      output: file to write; its suffix is one of `FORMATS`. JSON files hold all detections, the
        others those that are shown; all but JSON and HTML files hold one video. None: none.
      report: HTML page for people; None: none.
      subtitles: folder for one .srt per video; None: none.
      selection: detections that the page and the subtitles show; None: the default.
      title: title of the page.
      note: what a reader of the page should know.

    Raises:
      UserError: a file cannot be written.
    """
    selection = selection or Selection()
    shown = [selection.shown(video) for video in videos]
    if output and output.suffix == ".json":
        detections = {video.track.name: video.track.detections for video in videos}
        notes = selection.measured()._replace(
            durations_s={video.track.name: video.track.duration_s for video in videos},
            damaged={video.track.name: video.damaged for video in videos if video.damaged},
        )
        write_predictions(output, detections, external_data=notes.external_data())
    elif output and output.suffix == ".html":
        _write_page(output, shown, selection, title, note)
    elif output:
        (video,) = videos
        write_shown(output, video, selection)
    if report:
        _write_page(report, shown, selection, title, note)
    if subtitles:
        for track in (video.track for video in shown):
            path = subtitles / f"{file_name(track.name)}.srt"
            write_subtitles(path, selection.reaching(track.detections), 0.0, track.duration_s)


def write_shown(path: Path, video: VideoReport, selection: Selection) -> None:
    """Writes one video's detections for people; the path's suffix is one of `FORMATS`, not json.

    Raises:
      UserError: the file cannot be written.
    """
    video = selection.shown(video)
    detections = selection.reaching(video.track.detections)
    if path.suffix == ".csv":
        text = csv_text(strongest(detections, 0.0, len(detections)))
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
    elif path.suffix == ".html":
        _write_page(path, [video], selection, f"{TITLE} in {video.track.name}")
    elif path.suffix == ".png":
        track = video.track._replace(detections=detections)
        draw_timeline(path, [track], min_score=0.0, labels=selection.classes)
    else:
        write_subtitles(path, detections, 0.0, video.track.duration_s)


def _write_page(
    path: Path, videos: Sequence[VideoReport], selection: Selection, title: str, note: str = ""
) -> None:
    min_score, classes = selection.min_score, selection.classes
    write_page(path, videos, title=title, note=note, min_score=min_score, labels=classes)
