"""Results that several commands print."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from afsd_jax.errors import printable

if TYPE_CHECKING:
    from afsd_jax.report.page import VideoReport
    from afsd_jax.results.writers import Selection

SHOWN = 20  # lines of a list
_USES = {  # of a file that was written, by its suffix
    ".csv": "open it in a spreadsheet",
    ".html": "open it in a browser",
    ".png": "a picture",
    ".srt": "subtitles; players show them if they lie beside the video under its name",
    ".vtt": "subtitles for videos on web pages",
}


def print_text(text: str, file: TextIO | None = None) -> None:
    """Prints lines that may hold names from files, as a terminal may show them."""
    print("\n".join(map(printable, text.split("\n"))), file=file)


def print_list(noun: str, lines: Sequence[str], said: str = "", more: str = "") -> None:
    """Prints a list below its length and name, or nothing if it is empty.

    Args:
      noun: name of one line.
      lines: the list, of which the first `SHOWN` are printed.
      said: words behind the noun, such as " without a file".
      more: where the others are, such as " in preparation.json".
    """
    if lines:
        shown = [
            f"{counted(len(lines), noun)}{said}:",
            *(f"  {printable(line)}" for line in lines[:SHOWN]),
        ]
        if len(lines) > SHOWN:
            shown.append(f"  … and {len(lines) - SHOWN} more{more}")
        print("\n".join(shown), file=sys.stderr)


def print_written(
    paths: Sequence[Path],
    videos: Sequence["VideoReport"],
    selection: "Selection",
    failed: Sequence[str],
) -> int:
    """Prints which files were written, what was found and damaged, and why other videos failed.

    Returns:
      The exit code: 1 if videos failed, else 0.
    """
    count = sum(len(video.track.detections) for video in videos)
    all_of_them = f"{counted(count, 'detection')} in {counted(len(videos), 'video')}"
    for path in paths:
        print_text(f"{path}: {_USES.get(path.suffix, all_of_them)}")
    print_found(videos, selection)
    print_damaged({video.track.name: video.damaged for video in videos if video.damaged})
    return print_failed(failed)


def print_table(videos: Sequence["VideoReport"], selection: "Selection") -> None:
    """Prints the detections that people are shown, best first, in a table for each video."""
    from afsd_jax.report.run_page import as_text

    for video in videos:
        shown = selection.reaching(selection.best(video.track.detections))
        rows = [
            (d.label, f"{d.start_s:.2f}", f"{d.end_s:.2f}", f"{d.score:.2f}") for d in shown[:SHOWN]
        ]
        print_text(video.track.name)
        if rows:
            print_text(as_text([("class", "start (s)", "end (s)", "score"), *rows]))
        if len(shown) > SHOWN:
            print(f"… and {len(shown) - SHOWN} more; --output FILE.csv writes all")


def print_found(videos: Sequence["VideoReport"], selection: "Selection") -> None:
    """Prints how many actions people are shown."""
    found = [d for v in videos for d in selection.best(v.track.detections)]
    least = "the threshold of its class" if selection.thresholds else f"{selection.min_score:g}"
    shown = counted(len(selection.reaching(found)), "action")
    where = counted(len(videos), "video")
    print(f"{shown} with a score of at least {least} in {where}")


def counted(number: int, noun: str, plural: str = "s") -> str:
    """Returns a number with its noun, such as 1 video or 2 videos; `plural` is the ending."""
    return f"{number} {noun}" + ("" if number == 1 else plural)


def print_next(what: str, *command: object) -> None:
    """Prints the command that a user may want next, and what it does."""
    print_text(f"next, {what}: {shlex.join(map(str, command))}")


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
