"""Measures how fast the labelling page answers: 500 videos, and one with 5,000 segments.

    python -m benchmarks.label_page --output benchmarks/results/label_page.json

The server is `afsd label`, the browser headless Chromium with a window of 1200×1000 pixels. An
answer is the time from a key's event to the frame that shows its effect; meanwhile the page saves
each change. `processor_ms` are those of the page's thread, which depend less on other programs. Run
it from the repository root.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright import sync_api

from benchmarks.page_answers import answers, heading, output_flag, report, window
from tests.barcodes import write
from tests.labelling.served import serving

VIDEOS, SEGMENTS, CLASSES, LENGTH_S, RATE = 500, 5000, 20, 600, 25
MOVES = 20
# Presses a key and resolves to the milliseconds until a frame shows its effect.
ANSWER = """(name) => new Promise((done) => {
  const start = performance.now(), key = name.replace("Control+", ""), ctrlKey = key !== name;
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, ctrlKey, bubbles: true }));
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""
KEYS = {
    "step of a frame": ["."] * MOVES,
    "choice of the next label": ["ArrowDown"] * MOVES,
    "change of a class": ["1", "2"] * (MOVES // 2),
    "label that is marked": ["i", "o"] * (MOVES // 2),
    "zoom": ["+"] * 5 + ["-"] * 5,
    "undo": ["Control+z"] * MOVES,
}


def footage(folder: Path) -> Path:
    """Makes links to one video of ten minutes; returns the labels file with the segments."""
    video = write(folder / "video 000.mp4", [0] * (LENGTH_S * RATE), rate=RATE)
    for number in range(1, VIDEOS):
        os.link(video, folder / f"video {number:03}.mp4")
    rng = np.random.default_rng(0)
    starts, lengths = rng.uniform(0, LENGTH_S - 20, SEGMENTS), rng.gamma(2, 2, SEGMENTS) + 0.1
    labels = rng.integers(CLASSES, size=SEGMENTS)
    lines = ["video,label,start,end"]
    lines += [f"video {number:03}.mp4,,," for number in range(1, VIDEOS)]
    lines += [
        f"video 000.mp4,class {label},{start:.2f},{start + length:.2f}"
        for label, start, length in zip(labels, starts, lengths, strict=True)
    ]
    table = folder.parent / "labels.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def measured(page: sync_api.Page, address: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    page.goto(address)
    page.wait_for_selector(".videos li")
    result["list loaded_ms"] = round(page.evaluate("performance.now()"))
    result["video opened_ms"] = round(
        page.evaluate(
            "async () => { const start = performance.now(); location.hash = '#video=1';"
            " while (!page.items?.length) await new Promise(requestAnimationFrame);"
            " return performance.now() - start; }"
        )
    )
    page.wait_for_timeout(2000)
    for name, keys in KEYS.items():
        result[name] = answers(page, ANSWER, keys)
    page.wait_for_function("() => document.querySelector('.saved').textContent === 'saved'")
    return result


def main() -> int:
    output = output_flag(__doc__)
    with window() as page, tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "videos"
        folder.mkdir()
        table = footage(folder)
        with serving(folder, "--labels", table) as served:
            address = f"{served.origin}/?token={served.token}"
            title = f"{VIDEOS} videos, {SEGMENTS} segments of {CLASSES} classes in the open one"
            results = {**heading(page, "label_page"), title: measured(page, address)}
    report(results, output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
