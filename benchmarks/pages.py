"""Measures how fast pages answer: one of 500 videos, one of an evaluation with 200 classes.

    python -m benchmarks.pages --output benchmarks/results/pages.json

Each page is opened in headless Chromium with a window of 1200×1000 pixels. A page is loaded once
its first frame is drawn. An answer is the time from an input to the frame that shows it; its
`processor_ms` are those of the page's thread, which depend less on other programs. Run it from the
repository root: the evaluation comes from the tests.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from playwright import sync_api

from afsd_jax.report import Track, VideoReport, write_page
from afsd_jax.report.evaluation_page import write_evaluation
from afsd_jax.types import Detection
from benchmarks.page_answers import answers, heading, output_flag, report, window
from tests.evaluation_views import large_view

VIDEOS, DETECTIONS, CLASSES, LENGTH_S = 500, 400, 20, 600.0
MOVES = 20
# Sets a control and resolves to the milliseconds until a frame shows the change.
ANSWER = """([selector, value]) => new Promise((done) => {
  const control = document.querySelector(selector), start = performance.now();
  if (control.type === "radio") control.click();
  else {
    control.value = value;
    for (const name of ["input", "change"]) control.dispatchEvent(new Event(name));
  }
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""
LOADED = """new Promise((done) =>
  requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"""


def many_videos(count: int, detections: int) -> Iterator[VideoReport]:
    """Yields videos with eight frames and random detections, most of them weak, as detectors do."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 199).astype(np.uint8)
    for number in range(count):
        starts, lengths = rng.uniform(0, LENGTH_S - 20, detections), rng.gamma(2, 4, detections)
        scores, labels = rng.beta(1, 3, detections), rng.integers(CLASSES, size=detections)
        found = [
            Detection(f"class {label}", score, start, start + length)
            for label, score, start, length in zip(
                labels, scores.tolist(), starts.tolist(), lengths.tolist(), strict=True
            )
        ]
        frames = np.stack([np.roll(ramp, 20 * i)[None, :, None] for i in range(8)])
        frames = np.broadcast_to(frames, (8, 112, 199, 3)).copy()
        times_s = ((np.arange(8) + 0.5) * LENGTH_S / 8).tolist()
        yield VideoReport(Track(f"video {number:03}", LENGTH_S, found), frames, times_s)


def opened(page: sync_api.Page, path: Path) -> dict[str, float]:
    page.goto(path.as_uri())
    loaded_ms = page.evaluate(LOADED)
    return {"mib": round(path.stat().st_size / 2**20, 1), "loaded_ms": round(loaded_ms)}


def detections_page(page: sync_api.Page, folder: Path) -> dict[str, Any]:
    path = folder / "videos.html"
    write_page(path, list(many_videos(VIDEOS, DETECTIONS)))
    result: dict[str, Any] = opened(page, path)
    moves = [("#threshold", value) for value in np.linspace(0, 1, MOVES).round(2).tolist()]
    result["slider, at the top"] = answers(page, ANSWER, moves)
    page.evaluate("window.scrollTo(0, document.body.scrollHeight / 2)")
    page.wait_for_timeout(1000)
    result["slider, in the middle"] = answers(page, ANSWER, moves)
    return result


def evaluation_page(page: sync_api.Page, folder: Path) -> dict[str, Any]:
    path = folder / "evaluation.html"
    view = large_view(200, 234, 228)
    write_evaluation(path, view)
    result: dict[str, Any] = {"detections": len(view.rows), **opened(page, path)}
    labels = [("#class", str(label)) for label in range(0, 200, 200 // MOVES)]
    result["choice of a class"] = answers(page, ANSWER, labels)
    result["choice of all classes"] = answers(page, ANSWER, [("#class", "")])
    radios = [(f"[name=tiou][value='{i % 2}']", None) for i in range(1, MOVES)]
    result["choice of a tIoU"] = answers(page, ANSWER, radios)
    return result


def main() -> int:
    output = output_flag(__doc__)
    with window() as page, tempfile.TemporaryDirectory() as name:
        results = {
            **heading(page, "pages"),
            f"{VIDEOS} videos with {DETECTIONS} detections each": detections_page(page, Path(name)),
            "evaluation of 200 classes": evaluation_page(page, Path(name)),
        }
    report(results, output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
