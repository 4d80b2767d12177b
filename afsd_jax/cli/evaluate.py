"""The command `afsd evaluate`: average precision of detections."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path

from afsd_jax.cli.arguments import TIOU, thresholds
from afsd_jax.cli.printing import print_list, print_text
from afsd_jax.io.files import check_output_file, write_json

SUMMARY = "Compute mean average precision by the rules of the ActivityNet toolkit."
DETAILS = """Notes on stderr name everything in the two files that lowers the result in silence:
labels that the ground truth does not have, videos without predictions, predictions in other videos,
and true actions without length or beyond the end of their video.

--rule thumos14-kit scores as the official kit of THUMOS'14 does, by which results were published
before about 2018; --ground-truth also takes the kit's folder of text files."""


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--predictions", type=Path, required=True, help="detections, ActivityNet JSON")
    add("--ground-truth", type=Path, required=True, help="annotations in any supported format")
    names = ("thumos14", "activitynet", "videos")
    benchmark = "benchmark that sets the subset and the tIoU thresholds (default: %(default)s)"
    add("--benchmark", choices=names, default=names[0], help=benchmark)
    rules = ("activitynet", "thumos14-kit")
    rule = "rule of matching and of average precision (default: %(default)s)"
    add("--rule", choices=rules, default=rules[0], help=rule)
    add("--subset", help="evaluate on this subset instead of the benchmark's")
    add("--tiou", type=thresholds, metavar="LIST", help=TIOU)
    add("--output", type=Path, help="also write the metrics to this JSON file")


def run(args: Namespace) -> None:
    check_output_file(args.output)
    from afsd_jax import evaluation
    from afsd_jax.cli import evaluation_inputs
    from afsd_jax.io.predictions_file import read_detections

    benchmark = evaluation.BENCHMARKS[args.benchmark]
    annotated, notes = evaluation_inputs.read_truth(args.ground_truth, args.rule)
    print_list("notes on the ground truth", notes)
    truth = evaluation_inputs.choose_truth(
        annotated, args.subset, benchmark.subset, args.ground_truth
    )
    print_notes(truth.notes)
    found = read_detections(args.predictions)
    tious = args.tiou or benchmark.tious
    metrics = evaluation.evaluate(truth.videos, found, tious, args.rule)
    print_notes(evaluation_inputs.mismatches(truth, found))
    print(metrics.as_table())
    if args.output:
        write_json(args.output, metrics.as_dict())


def print_notes(lines: Iterable[str]) -> None:
    """Prints what may lower the result."""
    for line in lines:
        print_text(f"note: {line}", file=sys.stderr)
