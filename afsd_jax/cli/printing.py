"""Results that several commands print."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from afsd_jax.errors import printable

if TYPE_CHECKING:
    from afsd_jax.report.page import VideoReport

SHOWN = 20  # lines of a list


def print_text(text: str, file: TextIO | None = None) -> None:
    """Prints lines that may hold names from files, as a terminal may show them."""
    print("\n".join(map(printable, text.split("\n"))), file=file)


def print_list(title: str, lines: Sequence[str], more: str = "") -> None:
    """Prints a list below its length and title, or nothing if it is empty.

    Args:
      title: name of the lines.
      lines: the list, of which the first `SHOWN` are printed.
      more: where the others are, such as " in preparation.json".
    """
    if lines:
        shown = [f"{len(lines)} {title}:", *(f"  {printable(line)}" for line in lines[:SHOWN])]
        if len(lines) > SHOWN:
            shown.append(f"  … and {len(lines) - SHOWN} more{more}")
        print("\n".join(shown), file=sys.stderr)


def print_written(path: Path, videos: Sequence["VideoReport"], failed: Sequence[str]) -> int:
    """Prints the number of detections in a file, what was damaged, and why other videos failed.

    Returns:
      The exit code: 1 if videos failed, else 0.
    """
    count = sum(len(video.track.detections) for video in videos)
    print_text(f"{path}: {count} detections in {len(videos)} videos")
    print_damaged({video.track.name: video.damaged for video in videos if video.damaged})
    return print_failed(failed)


def print_damaged(damaged: Mapping[str, int]) -> None:
    """Prints how many packets and frames of each video could not be decoded."""
    for name, count in damaged.items():
        what = "packets or frames; what could not be decoded was skipped"
        print_text(f"damaged: {printable(name)}: {count} {what}", file=sys.stderr)


def print_failed(failed: Sequence[str]) -> int:
    """Prints why videos failed; returns the exit code: 1 if there are any, else 0."""
    for text in failed:
        print(f"failed: {printable(text)}", file=sys.stderr)
    return 1 if failed else 0
