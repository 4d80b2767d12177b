"""A video's detections in a few lines of HTML, for a notebook: frames above a timeline."""

from collections.abc import Sequence

from afsd_jax.report.colors import class_colors
from afsd_jax.report.page import VideoReport, sample_frames
from afsd_jax.report.render import render
from afsd_jax.report.tracks import bar_lanes, bar_ticks, clock, strongest

MAX_BARS = 200


def inline_html(
    video: VideoReport, *, min_score: float, labels: Sequence[str], max_lanes: int = 4
) -> str:
    """Returns a `<div>` that needs nothing from elsewhere and holds no script.

    Args:
      video: its detections, and frames, if any, uint8 [N, H, W, 3].
      min_score: weaker detections are left out.
      labels: all classes, to fix their colours.
      max_lanes: a detection that overlaps with so many better ones is left out.
    """
    track = video.track
    reaching = strongest(track.detections, min_score, len(track.detections))
    lanes = bar_lanes(reaching[:MAX_BARS], max_lanes, track.duration_s, class_colors(labels))
    return render(
        "inline.html",
        # A file's name may be no UTF-8; notebooks are.
        name=track.name.encode("utf-8", "replace").decode(),
        duration=clock(track.duration_s),
        count=len(reaching),
        total=len(track.detections),
        min_score=min_score,
        frames=sample_frames(video),
        lanes=lanes,
        ticks=bar_ticks(track.duration_s),
    )
