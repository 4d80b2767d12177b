"""File systems in memory that are too small, where root may mount them."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Mounts a tmpfs with these options, such as size=64k; skips the test where that is refused."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def enlarge(place: Path, options: str) -> None:
    """Makes room on such a file system."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def content(folder: Path) -> dict[str, bytes]:
    """Returns all files of a folder, hidden ones too, by their paths."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
