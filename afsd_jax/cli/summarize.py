"""The command `afsd summarize`: counts and times actions, by class and video."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from afsd_jax.cli.annotations import add_selection
from afsd_jax.cli.arguments import positive_number, some_of
from afsd_jax.cli.printing import print_next, print_text
from afsd_jax.io.files import check_output_folder, write_json, write_text

if TYPE_CHECKING:
    from afsd_jax.report.behaviour_view import Summary

SUMMARY = "Count and time actions: bouts, time budget, transitions."
DETAILS = """Inputs are annotations in any format that afsd prepare reads, and detections as afsd
detect writes them (JSON). Several inputs, such as labels and detections of the same videos, are
shown side by side.

Without --output, a table by class is printed. --output is a folder, which receives bouts.csv and
transitions.csv, summary.json and summary.html. docs/annotations.md defines the measures."""

FORMATS = ("csv", "json", "html")


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    inputs = "annotation files or folders, and detections (JSON)"
    add("inputs", nargs="+", type=Path, metavar="INPUT", help=inputs)
    add("--output", type=Path, metavar="FOLDER", help="folder to write to")
    formats = f"files to write: some of {','.join(FORMATS)} (default: all)"
    kinds = some_of(FORMATS)
    add("--format", dest="formats", type=kinds, default=FORMATS, metavar="LIST", help=formats)
    bins = "also count and time in bins of this many seconds"
    add("--bin", dest="bin_s", type=positive_number, metavar="SECONDS", help=bins)
    videos = "the video files, or folders of them, whose lengths are observed"
    add("--videos", type=Path, nargs="+", default=[], metavar="PATH", help=videos)
    add_selection(parser)


def run(args: Namespace) -> None:
    check_output_folder(args.output)
    from afsd_jax.cli.evaluation_inputs import names_of
    from afsd_jax.cli.marked_inputs import read_sets
    from afsd_jax.diagnosis.bouts import summarize
    from afsd_jax.results.writers import Selection

    selection = Selection(args.min_score, args.top_k, args.labels)
    sets = read_sets(args.inputs, selection, args.videos)
    classes = sorted({mark.label for videos in sets for video in videos for mark in video.marks})
    summaries = [
        summarize(name, videos, args.bin_s, classes)
        for name, videos in zip(names_of(args.inputs), sets, strict=True)
    ]
    if args.output is None:
        _print_tables(summaries)
        print_next("write tables and a page", "afsd", "summarize", *args.inputs, "--output=summary")
    else:
        _write(summaries, args.output, args.formats)


def _print_tables(summaries: Sequence["Summary"]) -> None:
    from afsd_jax.report.run_page import as_text
    from afsd_jax.report.summary_page import cells_of

    header = ("class", "bouts", "per minute", "total (s)", "mean (s)", "median (s)", "share",
              "latency (s)")  # fmt: skip
    for summary in summaries:
        print_text(summary.name)
        rows = [(entry.label, *cells_of(entry)) for entry in summary.overall]
        print_text(as_text([header, *rows]))


def _write(summaries: Sequence["Summary"], folder: Path, formats: Sequence[str]) -> None:
    """Writes the files of the formats, and prints which.

    Raises:
      UserError: a file cannot be written.
    """
    from afsd_jax.report.behaviour_view import bouts_csv, transitions_csv
    from afsd_jax.report.summary_page import write_summary

    if "csv" in formats:
        for name, text in (("bouts", bouts_csv), ("transitions", transitions_csv)):
            write_text(folder / f"{name}.csv", text(summaries))
            print_text(f"{folder / name}.csv: open it in a spreadsheet")
    if "json" in formats:
        write_json(folder / "summary.json", {s.name: s.as_dict() for s in summaries})
        print_text(f"{folder / 'summary.json'}: all measures")
    if "html" in formats:
        write_summary(folder / "summary.html", summaries)
        print_text(f"{folder / 'summary.html'}: open it in a browser")
