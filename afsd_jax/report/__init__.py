"""Detections for people: a timeline picture, an HTML page, subtitles."""

from afsd_jax.report.page import VideoReport, write_page
from afsd_jax.report.subtitles import write_subtitles
from afsd_jax.report.timeline import draw_timeline
from afsd_jax.report.tracks import Track

__all__ = ["Track", "VideoReport", "draw_timeline", "write_page", "write_subtitles"]
