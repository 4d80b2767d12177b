"""Python with a few packages only, as in a fresh virtual environment, without downloading them."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement


def make_packages(folder: Path, *names: str) -> Path:
    """Fills a folder with links to these packages and all that they need, and returns it."""
    folder.mkdir()
    waiting, done = list(names), set()
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        done.add(name)
        distribution = importlib.metadata.distribution(name)
        for top in {path.parts[0] for path in distribution.files or ()} - {".."}:
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))).resolve())
        needed = map(Requirement, distribution.requires or ())
        waiting += [r.name for r in needed if not r.marker or r.marker.evaluate({"extra": ""})]
    return folder


def run(packages: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python, which finds the standard library and these packages only."""
    environment = os.environ | {"PYTHONPATH": str(packages)}
    command = [sys.executable, "-S", "-P", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
