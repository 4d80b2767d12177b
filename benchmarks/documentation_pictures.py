"""Makes the pictures of pages in the documentation, from the folder of a demo.

    python -m benchmarks.documentation_pictures demo docs

A demo that still trains has videos; of it, only the page of prepared data is shown. All commands
run as a user would type them, in a temporary folder with links to the demo and its videos, so that
pages show short names.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright import sync_api

CHROMIUM = "/usr/bin/chromium"
SOURCE = "data/synthetic/source"  # of the demo's videos
OWN = 6  # videos of the page of own videos, the last one for testing
TIOUS = "0.5,0.6,0.7,0.8,0.9"
VOTING = ("0.7", "0.85")


def afsd(folder: Path, *arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "afsd_jax.cli", *map(str, arguments)], cwd=folder, check=True
    )


def write_labels(folder: Path, names: Sequence[str]) -> None:
    """Writes the true actions of some of the demo's videos to labels.csv."""
    truth = json.loads((folder / "demo" / SOURCE / "ground_truth.json").read_text())["database"]
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("video", "label", "start", "end", "subset"))
        for name in names:
            for action in truth[name]["annotations"]:
                row = f"{name}.mp4", action["label"], *action["segment"], name.partition("_")[0]
                table.writerow(row)


def own_videos(folder: Path, browser: sync_api.Browser, pictures: Path) -> None:
    """Prepares a few of the demo's videos as somebody's own, and shows the page about them."""
    names = [f"train_{number:04}" for number in range(OWN - 1)] + ["test_0000"]
    write_labels(folder, names)
    (folder / "my_videos").mkdir()
    for name in names:
        target = folder / "demo" / SOURCE / "videos" / name.partition("_")[0] / f"{name}.mp4"
        (folder / "my_videos" / f"{name}.mp4").symlink_to(target)
    given = "--source=my_videos", "--annotations=labels.csv", "--output=DATA"
    afsd(folder, "prepare", "videos", *given)
    afsd(folder, "inspect", "DATA/videos/rgb", "--output=data.html")
    page = browser.new_page(viewport={"width": 1000, "height": 720})
    page.goto((folder / "data.html").as_uri())
    page.screenshot(path=pictures / "own_videos_data.png")


def evaluation(folder: Path, browser: sync_api.Browser, pictures: Path) -> None:
    """Shows the page of an evaluation at tIoU 0.9, and one of its errors."""
    videos = f"demo/{SOURCE}/videos/test"
    given = "--ground-truth=demo/ground_truth.json", "--benchmark=videos", f"--tiou={TIOUS}"
    found = "--predictions=demo/detections.json"
    afsd(folder, "evaluate", found, *given, "--report=errors.html", f"--videos={videos}")
    page = browser.new_page(viewport={"width": 1100, "height": 1080})
    page.goto((folder / "errors.html").as_uri())
    page.locator(".tious label", has_text="0.9").click()
    page.screenshot(path=pictures / "evaluation_page.png")
    page.set_viewport_size({"width": 1100, "height": 788})
    page.locator("#error-keys button", has_text="localisation").click()
    page.locator("dialog tbody tr").nth(1).click()
    page.wait_for_function("() => document.querySelector('dialog video')?.readyState > 2")
    page.wait_for_timeout(500)
    page.locator("dialog").screenshot(path=pictures / "evaluation_case.png")


def comparison(folder: Path, browser: sync_api.Browser, pictures: Path) -> None:
    """Compares detections with voting over candidates that overlap and without."""
    videos = f"demo/{SOURCE}/videos/test"
    names = {"plain.json": []} | {f"vote_{x}.json": [f"--voting-tiou={x}"] for x in VOTING}
    for name, flags in names.items():
        afsd(folder, "detect", videos, "--checkpoint=demo/checkpoint", *flags, f"--output={name}")
    given = "--ground-truth=demo/ground_truth.json", "--benchmark=videos", f"--tiou={TIOUS}"
    found = [f"--predictions={name}" for name in names]
    afsd(folder, "evaluate", *found, *given, "--report=comparison.html")
    page = browser.new_page(viewport={"width": 1100, "height": 920})
    page.goto((folder / "comparison.html").as_uri())
    page.locator(".tious label", has_text="0.9").click()
    page.locator("select").select_option(index=len(VOTING) - 1)
    page.screenshot(path=pictures / "evaluation_comparison.png")


def summary(folder: Path, browser: sync_api.Browser, pictures: Path) -> None:
    """Shows bouts and time budget of a few videos: labels beside detections."""
    names = [f"test_{number:04}" for number in range(OWN - 1)]
    write_labels(folder, names)
    content = json.loads((folder / "demo" / "detections.json").read_text())
    content["results"] = {name: content["results"][name] for name in names}
    (folder / "found.json").write_text(json.dumps(content))
    videos = [f"demo/{SOURCE}/videos/test/{name}.mp4" for name in names]
    flags = "--min-score=0.5", "--output=summary.html", "--videos", *videos
    afsd(folder, "summarize", "labels.csv", "found.json", *flags)
    page = browser.new_page(viewport={"width": 1000, "height": 1780})
    page.goto((folder / "summary.html").as_uri())
    page.screenshot(path=pictures / "summary_page.png")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("demo", type=Path, help="folder of a demo: afsd demo --output demo")
    parser.add_argument("pictures", type=Path, help="folder to write to")
    args = parser.parse_args()
    with sync_api.sync_playwright() as playwright, tempfile.TemporaryDirectory() as name:
        (Path(name) / "demo").symlink_to(args.demo.resolve())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        own_videos(Path(name), browser, args.pictures.resolve())
        if (args.demo / "detections.json").exists():
            evaluation(Path(name), browser, args.pictures.resolve())
            summary(Path(name), browser, args.pictures.resolve())
            comparison(Path(name), browser, args.pictures.resolve())
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
