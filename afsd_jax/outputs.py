"""What is found in videos, written down: JSON, a page, subtitles, and the list of what failed."""

import argparse
import sys
from collections.abc import Sequence

from afsd_jax.activitynet_json import write_predictions
from afsd_jax.errors import UserError
from afsd_jax.report.page import VideoReport, write_page
from afsd_jax.report.subtitles import write_subtitles


def write_outputs(
    args: argparse.Namespace,
    videos: Sequence[VideoReport],
    failed: Sequence[str],
    title: str = "Detected actions",
) -> int:
    """Writes what a command line asks for.

    Args:
      args: `output`, and `report` and `subtitles`, which may be None.
      videos: with their detections.
      failed: why each of the other videos failed.
      title: of the page.

    Returns:
      The exit code: 1 if some videos failed, else 0.

    Raises:
      UserError: all of them failed.
    """
    if not videos:
        raise UserError(failed[0])
    results = {video.track.name: video.track.detections for video in videos}
    write_predictions(args.output, results)
    if args.report:
        write_page(args.report, videos, title=title)
    if args.subtitles:
        for name, found in results.items():
            write_subtitles(args.subtitles / f"{name}.srt", found)
    print(f"{args.output}: {sum(map(len, results.values()))} detections in {len(results)} videos")
    for text in failed:
        print(f"failed: {text}", file=sys.stderr)
    return 1 if failed else 0
