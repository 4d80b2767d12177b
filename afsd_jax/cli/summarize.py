"""The command `afsd summarize`: counts and times actions, by class and video."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from afsd_jax.cli.annotations import add_selection
from afsd_jax.cli.arguments import least_scores, positive_number, some_of
from afsd_jax.cli.printing import counted, print_next, print_text
from afsd_jax.errors import UserError
from afsd_jax.io.files import (
    check_apart,
    check_output_file,
    check_output_folder,
    write_json,
    write_text,
)

if TYPE_CHECKING:
    from afsd_jax.report.behaviour_view import Summary
    from afsd_jax.types import MarkedVideo

SUMMARY = "Count and time actions: bouts, time budget, transitions."
DETAILS = """Inputs are annotations in any format that afsd prepare reads, and detections as afsd
detect writes them (JSON). Several inputs, such as labels and detections of the same videos, are
shown side by side.

Where detections of two classes are in one place (tIoU 0.5 or more), only the one with the higher
score counts, for they are two labels of one action; --keep-overlaps counts both.

Without --output, a table by class is printed. --output is a folder, which receives bouts.csv and
transitions.csv, summary.json and summary.html, or one file: .html, .json, or .csv (the bouts).
docs/annotations.md defines the measures."""

FORMATS = ("csv", "json", "html")


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    inputs = "annotation files or folders, and detections (JSON)"
    add("inputs", nargs="+", type=Path, metavar="INPUT", help=inputs)
    output = "folder to write to, or one file: .csv, .json or .html"
    add("--output", type=Path, metavar="PATH", help=output)
    formats = f"files to write: some of {','.join(FORMATS)} (default: all)"
    kinds = some_of(FORMATS)
    add("--format", dest="formats", type=kinds, metavar="LIST", help=formats)
    both = "count detections of two classes in one place twice"
    add("--keep-overlaps", action="store_true", help=both)
    bins = "also count and time in bins of this many seconds"
    add("--bin", dest="bin_s", type=positive_number, metavar="SECONDS", help=bins)
    videos = "the video files, or folders of them, whose lengths are observed"
    add("--videos", type=Path, nargs="+", default=[], metavar="PATH", help=videos)
    add_selection(parser)


def run(args: Namespace) -> None:
    files = _files(args.output, args.formats)
    check_apart(files.values(), args.inputs)
    from afsd_jax.cli.evaluation_inputs import names_of
    from afsd_jax.cli.marked_inputs import read_sets
    from afsd_jax.diagnosis.bouts import summarize
    from afsd_jax.results.writers import Selection

    least, measured = least_scores(args.min_score)
    selection = Selection(least, args.top_k, args.labels)
    sets = read_sets(args.inputs, selection, args.videos, measured)
    names = names_of(args.inputs)
    if not args.keep_overlaps:
        sets = [_with_best_labels(name, videos) for name, videos in zip(names, sets, strict=True)]
    classes = sorted({mark.label for videos in sets for video in videos for mark in video.marks})
    summaries = [
        summarize(name, videos, args.bin_s, classes)
        for name, videos in zip(names, sets, strict=True)
    ]
    if args.output is None:
        _print_tables(summaries)
        print_next("write tables and a page", "afsd", "summarize", *args.inputs, "--output=summary")
    else:
        _write(summaries, files)


def _print_tables(summaries: Sequence["Summary"]) -> None:
    from afsd_jax.report.run_page import as_text
    from afsd_jax.report.summary_page import cells_of

    header = ("class", "bouts", "per minute", "total (s)", "mean (s)", "median (s)", "share",
              "latency (s)")  # fmt: skip
    for summary in summaries:
        print_text(summary.name)
        rows = [(entry.label, *cells_of(entry)) for entry in summary.overall]
        print_text(as_text([header, *rows]))
        if summary.occupied:
            print_text(summary.occupied)


def _files(output: Path | None, formats: Sequence[str] | None) -> dict[str, Path]:
    """Returns the files to write, by name: some of bouts, transitions, json and html.

    Raises:
      UserError: the output is no folder and none of the files that can be written.
    """
    if output is None:
        return {}
    kind = output.suffix.lower().removeprefix(".")
    if not kind or output.is_dir() or formats:
        check_output_folder(output)
        names = {"csv": ("bouts.csv", "transitions.csv")}
        return {
            name.removesuffix(".csv") if kind == "csv" else kind: output / name
            for kind in formats or FORMATS
            for name in names.get(kind, (f"summary.{kind}",))
        }
    if kind not in FORMATS:
        raise UserError(
            f"--output {output}: one file ends in .csv, .json or .html; a folder has no ending"
        )
    check_output_file(output)
    return {"bouts" if kind == "csv" else kind: output}


def _with_best_labels(name: str, videos: list["MarkedVideo"]) -> list["MarkedVideo"]:
    """Returns videos with one label for each detected action, and prints how many are left out."""
    from afsd_jax.diagnosis.one_label import num_left_out, with_best_labels

    best = [with_best_labels(video) for video in videos]
    if count := num_left_out(videos, best):
        print_text(
            f"note: {name}: {counted(count, 'detection')} left out, where one of another class "
            "has a higher score in the same place; --keep-overlaps counts them, too",
            file=sys.stderr,
        )
    return best


def _write(summaries: Sequence["Summary"], files: Mapping[str, Path]) -> None:
    """Writes the files, and prints which.

    Raises:
      UserError: a file cannot be written.
    """
    from afsd_jax.report.behaviour_view import bouts_csv, transitions_csv
    from afsd_jax.report.summary_page import write_summary

    for name, path in files.items():
        if name == "html":
            write_summary(path, summaries)
        elif name == "json":
            write_json(path, {s.name: s.as_dict() for s in summaries})
        else:
            write_text(path, (bouts_csv if name == "bouts" else transitions_csv)(summaries))
        uses = {"html": "open it in a browser", "json": "all measures"}
        print_text(f"{path}: {uses.get(name, 'open it in a spreadsheet')}")
