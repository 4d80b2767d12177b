"""Scores detections against a ground truth, both as ActivityNet JSON.

python scripts/evaluate.py --predictions detections.json --ground-truth gt.json \\
    --benchmark thumos14 --output metrics.json
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from afsd_jax import activitynet_json, evaluation, files
from afsd_jax.errors import UserError, run


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Mean average precision by the rules of the ActivityNet toolkit."
    )
    parser.add_argument("--predictions", type=Path, required=True, help="detections, JSON")
    parser.add_argument("--ground-truth", type=Path, required=True, help="annotations, JSON")
    parser.add_argument(
        "--benchmark",
        choices=evaluation.BENCHMARKS,
        default="thumos14",
        help="whose subset and tIoU thresholds to use (default: %(default)s)",
    )
    parser.add_argument("--subset", help="evaluate on this subset instead of the benchmark's")
    parser.add_argument(
        "--tiou", metavar="LIST", help="thresholds such as 0.5,0.75 instead of the benchmark's"
    )
    parser.add_argument("--output", type=Path, help="also write the metrics to this JSON file")
    args = parser.parse_args(arguments)

    benchmark = evaluation.BENCHMARKS[args.benchmark]
    tious = benchmark.tious if args.tiou is None else thresholds(args.tiou)
    ground_truth = activitynet_json.read_ground_truth(
        args.ground_truth, args.subset or benchmark.subset
    )
    predictions = activitynet_json.read_predictions(args.predictions)
    metrics = evaluation.evaluate(ground_truth, predictions, tious)
    unknown = predictions.keys() - ground_truth.keys()
    if unknown:
        print(
            f"note: {len(unknown)} of {len(predictions)} videos with predictions are not in the "
            "ground truth's subset and are ignored",
            file=sys.stderr,
        )
    print(metrics.as_table())
    if args.output:
        files.write_json(args.output, metrics.as_dict())


def thresholds(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--tiou: must be numbers such as 0.5,0.75, not {text!r}") from None


if __name__ == "__main__":
    sys.exit(run(main))
