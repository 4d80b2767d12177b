"""How fast a page in headless Chromium answers to inputs."""

import argparse
import contextlib
import json
import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from playwright import sync_api

from afsd_jax.io import files
from benchmarks.common import provenance

CHROMIUM = "/usr/bin/chromium"
WINDOW = {"width": 1200, "height": 1000}


@contextlib.contextmanager
def window() -> Iterator[sync_api.Page]:
    """Opens a window of 1200×1000 pixels."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport=WINDOW)
        browser.close()


def answers(page: sync_api.Page, script: str, inputs: Sequence[Any]) -> dict[str, float]:
    """Returns milliseconds from each input to its frame: median, longest, and of the processor.

    Args:
      page: the page.
      script: a function in JavaScript of one input; it resolves to these milliseconds.
      inputs: the inputs.
    """
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy_s() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(part["value"] for part in metrics if part["name"] == "TaskDuration")

    times, processor_s = [], []
    for given in inputs:
        before_s = busy_s()
        times.append(page.evaluate(script, given))
        processor_s.append(busy_s() - before_s)
    return {
        "median_ms": round(statistics.median(times), 1),
        "longest_ms": round(max(times), 1),
        "processor_ms": round(1000 * statistics.median(processor_s), 1),
    }


def heading(page: sync_api.Page, name: str) -> dict[str, Any]:
    """Returns what belongs to every result: versions, command and load."""
    return {
        **provenance("playwright"),
        "browser": f"Chromium {page.context.browser.version}",
        "command": f"python -m benchmarks.{name} --output benchmarks/results/{name}.json",
        "load_before": round(os.getloadavg()[0], 2),
    }


def output_flag(description: str) -> Path | None:
    """Parses the only flag of these benchmarks."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    output: Path | None = parser.parse_args().output
    return output


def report(results: dict[str, Any], output: Path | None) -> None:
    """Prints the results, and writes them if there is a file for them."""
    print(json.dumps(results, indent=1))
    if output:
        files.write_json(output, results)
