"""Measures soft-NMS of all classes of a video at once, compared with a loop over classes.

    python benchmarks/soft_nms.py --output benchmarks/results/soft_nms.json

Both use NumPy in float32, and must agree to the last bit. Each of 20 classes has 2000 candidates,
in videos of several lengths, or all overlapping.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import provenance
from numpy.typing import NDArray

from afsd_jax.detection import nms
from afsd_jax.io import files

CLASSES, CANDIDATES = 20, 2000
SIGMA, THRESHOLD, MOST = 0.5, 0.001, 5000  # THUMOS14's
REPEATS = 7
Floats = NDArray[np.float32]
Found = list[tuple[NDArray[np.intp], Floats]]


def direct_loop(segments: list[Floats], scores: list[Floats]) -> Found:
    """One class after another, one pick at a time, which weakens all that is left."""
    return [_direct(*one) for one in zip(segments, scores, strict=True)]


def _direct(segments: Floats, scores: Floats) -> tuple[NDArray[np.intp], Floats]:
    start, end = segments.T.copy()
    left = np.flatnonzero(scores >= THRESHOLD)
    start, end, score = start[left], end[left], scores[left]
    kept, kept_scores = [], []
    while len(left) and len(kept) < MOST:
        top = int(np.argmax(score))
        kept.append(left[top])
        kept_scores.append(score[top])
        overlap = np.minimum(end, end[top]) - np.maximum(start, start[top])
        overlap = np.maximum(overlap, 0)
        union = np.maximum(end[top] - start[top], nms.MIN_WIDTH_S) + (end - start) - overlap
        tiou = np.divide(overlap, union, out=overlap, where=overlap > 0)
        score = score * np.exp(-(tiou**2) / np.float32(SIGMA))
        stays = score >= THRESHOLD
        stays[top] = False
        left, start, end, score = left[stays], start[stays], end[stays], score[stays]
    return np.array(kept, np.intp), np.array(kept_scores, np.float32)


def at_once(segments: list[Floats], scores: list[Floats]) -> Found:
    return nms.suppress(segments, scores, nms.gaussian(SIGMA), THRESHOLD, MOST)


def candidates(span_s: float) -> tuple[list[Floats], list[Floats]]:
    """Returns segments that begin within a span, a second of which is 0: all overlap."""
    random = np.random.default_rng(0)
    segments, scores = [], []
    for _ in range(CLASSES):
        start = random.uniform(0, span_s or 10, CANDIDATES)
        length = random.exponential(4, CANDIDATES) + (0.3 if span_s else 10)
        segments.append(np.stack([start, start + np.minimum(length, 25.6)], -1).astype(np.float32))
        scores.append((0.01 + random.uniform(0, 0.99, CANDIDATES) ** 4).astype(np.float32))
    return segments, scores


def seconds(function: Callable[..., Found], *given: Any) -> float:
    """Returns the processor's seconds: either runs on one core, and others may want it, too."""
    start = time.process_time()
    function(*given)
    return time.process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    results: dict[str, Any] = {
        **provenance("numpy"),
        "command": "python benchmarks/soft_nms.py --output benchmarks/results/soft_nms.json",
        "load_before": round(os.getloadavg()[0], 2),
        "videos": {},
    }
    for label, span_s in {
        "an hour": 3600,
        "20 minutes": 1200,
        "5 minutes": 300,
        "all overlap": 0,
    }.items():
        given = candidates(span_s)
        expected, found = direct_loop(*given), at_once(*given)
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])
        times = [(seconds(direct_loop, *given), seconds(at_once, *given)) for _ in range(REPEATS)]
        direct_s, at_once_s = (statistics.median(column) for column in zip(*times, strict=True))
        results["videos"][label] = {
            "picks": sum(len(kept) for kept, _ in found),
            "direct_s": round(direct_s, 4),
            "at_once_s": round(at_once_s, 4),
            "times_faster": round(direct_s / at_once_s, 1),
            "identical": True,
        }
        print(label, results["videos"][label], flush=True)
    if args.output:
        files.write_json(args.output, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
