"""Kills the server of the labelling page, or its browser, and checks that nothing is lost.

    python benchmarks/label_kills.py [--kills 200] [--browser 40] [--seed 1] [--output FILE]

With --kills the server is killed at random moments: after each kill the labels file must be whole,
and the next server must have every change that was answered. With --browser it is Chromium with all
its processes, while labels are changed by keyboard, and every other time the server at once after
it: all changes that the page had shown as saved must be in the labels file. --output replaces only
the results of what was killed. The suite does the same with fewer kills
(tests/labelling/test_kills.py).
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import provenance
from playwright import sync_api

sys.path.insert(0, str(Path(__file__).parent.parent))

from afsd_jax.io.files import write_json
from tests.labelling.killed import check_kills
from tests.labelling.killed_browser import check_browser_kills
from tests.video_files import numbered_frames, write_video


def server_kills(footage: Path, labels: Path, kills: int, seed: int) -> dict[str, Any]:
    changes = check_kills(footage, labels, kills, seed)
    return {"kills": kills, "seed": seed, "changes": changes, "lost": 0}


def browser_kills(footage: Path, labels: Path, kills: int, seed: int) -> dict[str, Any]:
    with sync_api.sync_playwright() as playwright:
        typist = check_browser_kills(playwright.chromium, footage, labels, kills, seed)
    return {
        "kills": kills,
        "of these, the server was killed at once after it": kills // 2,
        "of these, a change was being made or saved": typist.open,
        "seed": seed,
        "changes": typist.changes,
        "shown as saved and lost": 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=0, help="kills of the server")
    parser.add_argument("--browser", type=int, default=0, help="kills of the browser")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    results = json.loads(args.output.read_text()) if args.output and args.output.exists() else {}
    killed = {
        "server": (server_kills, args.kills, "uvicorn"),
        "browser": (browser_kills, args.browser, "playwright"),
    }
    for name, (kill, kills, package) in killed.items():
        if not kills:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            write_video(Path(folder) / "one.mp4", numbered_frames(50), rate=25)
            labels = Path(folder) / "labels" / "labels.csv"
            labels.parent.mkdir()
            found = kill(Path(folder), labels, kills, args.seed)
        found["minutes"] = round((time.monotonic() - began) / 60, 1)
        flag = f"--{'kills' if name == 'server' else name} {kills} --seed {args.seed}"
        command = f"python benchmarks/label_kills.py {flag}"
        results[name] = {"command": command, **provenance(package), **found}
        print(json.dumps({name: found}, indent=1))
    if args.output:
        write_json(args.output, results)


if __name__ == "__main__":
    main()
