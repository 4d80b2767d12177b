"""URLs of files beside a page."""

import os
from pathlib import Path
from urllib.parse import quote


def relative_url(target: str | os.PathLike[str], page: str | os.PathLike[str]) -> str:
    """Returns the URL of a file as seen from a page, whatever characters its name has."""
    folder = os.path.abspath(os.path.dirname(os.fspath(page)))
    return quote(os.fsencode(Path(os.path.relpath(os.path.abspath(target), folder)).as_posix()))
