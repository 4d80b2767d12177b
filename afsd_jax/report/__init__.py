"""Detections for people: timeline pictures, HTML pages, subtitles."""

from afsd_jax.report.index_page import IndexEntry, index_entry, write_index
from afsd_jax.report.page import VideoReport, write_page
from afsd_jax.report.subtitles import write_subtitles
from afsd_jax.report.timeline import draw_timeline
from afsd_jax.report.tracks import Track

__all__ = [
    "IndexEntry",
    "Track",
    "VideoReport",
    "draw_timeline",
    "index_entry",
    "write_index",
    "write_page",
    "write_subtitles",
]
