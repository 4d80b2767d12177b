"""A video's detections as HTML for a notebook: frames above a timeline."""

from collections.abc import Sequence

from afsd_jax.report.colors import class_colors
from afsd_jax.report.page import VideoReport, sample_frames
from afsd_jax.report.render import render
from afsd_jax.report.tracks import bar_lanes, bar_ticks, clock, strongest

MAX_BARS = 200


def inline_html(
    video: VideoReport, *, min_score: float, labels: Sequence[str], max_lanes: int = 4
) -> str:
    """Returns a self-contained `<div>` without scripts.

    Args:
      video: detections and, if available, frames, uint8 [N, H, W, 3].
      min_score: detections with a lower score are left out.
      labels: all classes, which fix the colours.
      max_lanes: maximum number of lanes; weaker detections without a free lane are left out.
    """
    track = video.track
    reaching = strongest(track.detections, min_score, len(track.detections))
    lanes = bar_lanes(reaching[:MAX_BARS], max_lanes, track.duration_s, class_colors(labels))
    return render(
        "inline.html",
        # A file's name may not be valid UTF-8, which notebooks need.
        name=track.name.encode("utf-8", "replace").decode(),
        duration=clock(track.duration_s),
        count=len(reaching),
        total=len(track.detections),
        min_score=min_score,
        frames=sample_frames(video),
        lanes=lanes,
        ticks=bar_ticks(track.duration_s),
    )
