"""Measures how often 95 % intervals of the difference of two systems contain the true difference.

    python benchmarks/coverage.py --output benchmarks/results/coverage.json

Two simulated detectors, of which one locates and finds actions better, are compared on small sets
of videos by the paired bootstrap of `afsd_jax.diagnosis.comparison`. Their true difference is that
on a very large set of videos. Videos differ in how hard they are, for both detectors alike.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import provenance

from afsd_jax.diagnosis.comparison import compare
from afsd_jax.evaluation import Tables, score
from afsd_jax.io import files

CLASSES = ("a", "b", "c")
NOISE, SKILL = (0.12, 0.15), (0.85, 0.80)  # error of ends in lengths, share of actions found
TIOU = (0.5,)
LARGE = 200_000  # videos that stand for all there could be


def simulated(num_videos: int, seed: int) -> Iterator[Tables]:
    """Yields the tables of both detectors on the same videos."""
    rng = np.random.default_rng(seed)
    number = np.maximum(rng.poisson(3, num_videos), 1)
    videos = np.repeat(np.arange(num_videos), number)
    ease = rng.normal(0, 1, num_videos)
    start, length = rng.uniform(0, 100, len(videos)), rng.lognormal(1.5, 0.5, len(videos))
    classes = rng.integers(0, len(CLASSES), len(videos))
    for noise, skill in zip(NOISE, SKILL, strict=True):
        chance = 1 / (1 + np.exp(-np.log(skill / (1 - skill)) - 0.7 * ease[videos]))
        found = rng.random(len(videos)) < chance
        ends = np.stack([start, start + length], axis=-1)[found]
        ends = ends + rng.normal(0, noise, ends.shape) * length[found, None]
        clutter = np.repeat(np.arange(num_videos), rng.poisson(3 * np.exp(-0.3 * ease)))
        begin = rng.uniform(0, 100, len(clutter))
        false = np.stack([begin, begin + rng.lognormal(1.5, 0.5, len(clutter))], axis=-1)
        scores = np.concatenate([rng.beta(4, 2, len(ends)), rng.beta(2, 4, len(clutter))])
        labels = [classes[found], rng.integers(0, len(CLASSES), len(clutter))]
        order = np.argsort(-scores)
        yield Tables(
            classes=CLASSES,
            videos=tuple(map(str, range(num_videos))),
            durations=np.full(num_videos, np.nan),
            actions=np.stack([start, start + length], axis=-1),
            action_classes=classes,
            action_videos=videos,
            detections=np.concatenate([ends, false])[order],
            detection_classes=np.concatenate(labels)[order],
            detection_videos=np.concatenate([videos[found], clutter])[order],
            scores=scores[order],
            doubtful=np.zeros((0, 2)),
            doubtful_videos=np.zeros(0, np.int64),
        )


def covered(num_videos: int, cases: int, samples: int, truth: float) -> dict[str, Any]:
    """Returns how many of the intervals contain the true difference, and how wide they are."""
    inside, widths = 0, []
    for case in range(cases):
        first, second = simulated(num_videos, seed=case)
        interval = compare(first, second, TIOU, samples=samples, seed=case).difference.average
        inside += bool(interval.low <= truth <= interval.high)
        widths.append(float(interval.high - interval.low))
    return {
        "videos": num_videos,
        "cases": cases,
        "samples": samples,
        "contain_the_truth": inside,
        "percent": round(100 * inside / cases, 1),
        "mean_width": round(float(np.mean(widths)), 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--samples", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    large = [score(tables, TIOU).average_map for tables in simulated(LARGE, seed=10**6)]
    truth = large[0] - large[1]
    results: dict[str, Any] = {
        **provenance("numpy"),
        "command": "python benchmarks/coverage.py --output benchmarks/results/coverage.json",
        "true_mAP": [round(value, 4) for value in large],
        "true_difference": round(truth, 4),
        "sets": [covered(size, args.cases, args.samples, truth) for size in (10, 40, 200)],
    }
    for key in ("true_mAP", "true_difference"):
        print(f"{key}: {results[key]}")
    for row in results["sets"]:
        print(row)
    if args.output:
        files.write_json(args.output, results)
    return 0 if all(93 <= row["percent"] <= 97 for row in results["sets"]) else 1


if __name__ == "__main__":
    sys.exit(main())
