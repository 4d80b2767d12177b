"""A video file in a page: its URL, and a command for those that browsers cannot play."""

import os
import shlex
from pathlib import Path
from typing import NamedTuple

from afsd_jax.data.decode.media import BROWSER_COPY
from afsd_jax.report.render import relative_url


class Playback(NamedTuple):
    """Where a page finds a video.

    Attributes:
      url: of the file, relative to the page.
      copy: URL of a copy that browsers can play; the file may not exist.
      convert: shell command that makes the copy, run in the folder of the page.
    """

    url: str
    copy: str
    convert: str


def playback(video: str | os.PathLike[str], page: str | os.PathLike[str]) -> Playback:
    """Returns where a page finds a video file."""
    copy = f"{os.fspath(video)}{BROWSER_COPY}"
    source, target = (_shell_word(path, page) for path in (video, copy))
    convert = f"ffmpeg -i {source} -vf scale=-2:720 -pix_fmt yuv420p {target}"
    return Playback(relative_url(video, page), relative_url(copy, page), convert)


def _shell_word(path: str | os.PathLike[str], page: str | os.PathLike[str]) -> str:
    """Returns a path relative to a page's folder as one word of a shell's command."""
    folder = os.path.abspath(os.path.dirname(os.fspath(page)))
    # With a leading ./ no name looks like an option or a protocol (12:30.mp4).
    text = "./" + Path(os.path.relpath(os.path.abspath(path), folder)).as_posix()
    if text.isprintable():
        return shlex.quote(text)
    # ANSI-C quoting keeps line breaks, and bytes that are not UTF-8, on one line of plain text.
    plain = {*range(32, 127)} - set(b"'\\")
    return "$'" + "".join(chr(b) if b in plain else f"\\x{b:02x}" for b in os.fsencode(text)) + "'"
