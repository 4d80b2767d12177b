"""The command `afsd evaluate`: average precision of detections."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from afsd_jax.cli.arguments import TIOU, thresholds
from afsd_jax.cli.printing import print_list
from afsd_jax.io.files import check_output_file, write_json

SUMMARY = "Compute mean average precision by the rules of the ActivityNet toolkit."
DETAILS = ""


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--predictions", type=Path, required=True, help="detections, ActivityNet JSON")
    add("--ground-truth", type=Path, required=True, help="annotations in any supported format")
    names = ("thumos14", "activitynet", "videos")
    benchmark = "benchmark that sets the subset and the tIoU thresholds (default: %(default)s)"
    add("--benchmark", choices=names, default=names[0], help=benchmark)
    add("--subset", help="evaluate on this subset instead of the benchmark's")
    add("--tiou", type=thresholds, metavar="LIST", help=TIOU)
    add("--output", type=Path, help="also write the metrics to this JSON file")


def run(args: Namespace) -> None:
    check_output_file(args.output)
    from afsd_jax import evaluation
    from afsd_jax.data import annotations
    from afsd_jax.io import activitynet_json

    benchmark = evaluation.BENCHMARKS[args.benchmark]
    ground_truth = annotations.read_annotations(args.ground_truth)
    notes = [note for video in ground_truth.values() for note in video.notes]
    print_list("notes on the ground truth", notes)
    if args.subset or any(video.subset for video in ground_truth.values()):
        ground_truth = activitynet_json.choose_subset(
            ground_truth, args.subset or benchmark.subset, args.ground_truth
        )
    else:
        print(
            f"note: {args.ground_truth} states no subsets: all {len(ground_truth)} videos count",
            file=sys.stderr,
        )
    predictions = activitynet_json.read_predictions(args.predictions)
    metrics = evaluation.evaluate(ground_truth, predictions, args.tiou or benchmark.tious)
    unknown = predictions.keys() - ground_truth.keys()
    if unknown:
        print(
            f"note: {len(unknown)} of {len(predictions)} videos with predictions are not in the "
            "ground truth's subset and are ignored",
            file=sys.stderr,
        )
    print(metrics.as_table())
    if args.output:
        write_json(args.output, metrics.as_dict())
