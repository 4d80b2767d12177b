"""Concatenated recordings in one file or pipe, as `cat` makes them.

FFmpeg continues behind such a join in MPEG streams and AVI. In the formats below it reads the first
recording only, or finds wrong key frames, so each recording is opened on its own.
"""

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from afsd_jax.errors import UserError

_CHUNK = 1 << 20  # bytes
_LONGEST = 64  # bytes of a header that are read
_MOST_PARTS = 1000
_MOST_BOXES = 1_000_000  # of an mp4 file


class ByteSource(Protocol):
    """Bytes that arrive in order, as through a pipe."""

    def read(self, size: int) -> bytes:
        """Returns at most `size` of the next bytes; none at the end."""


class Part(NamedTuple):
    """One recording: its bytes in [start, end) of a file."""

    start: int
    end: int


class _Format(NamedTuple):
    """The begin and end of recordings of a format.

    Attributes:
      header: matches the beginning of a recording.
      mark: bytes that every header holds.
      before: number of bytes of a header before the mark.
      end_of: returns where a recording that begins at a place of a file ends, by the lengths that
        it states; None if it states none.
    """

    header: re.Pattern[bytes]
    mark: bytes
    before: int
    end_of: Callable[[BinaryIO, int], int | None]

    def find(self, content: bytes, start: int) -> int:
        """Returns the place of the first header from `start` on; -1 if there is none."""
        while (at := content.find(self.mark, start + self.before)) >= 0:
            if self.header.match(content, at - self.before):
                return at - self.before
            start = at - self.before + 1
        return -1

    def sure(self, content: bytes) -> int:
        """Returns how many bytes end before anything that more bytes could complete to a header."""
        at = content.find(self.mark, max(len(content) - _LONGEST + self.before, 0))
        if at < 0:
            ends = (k for k in range(len(self.mark) - 1, 0, -1) if content.endswith(self.mark[:k]))
            at = len(content) - next(ends, 0)
        return max(at - self.before, 0)


def _end_of_boxes(file: BinaryIO, start: int) -> int | None:
    """Returns where the boxes of an mp4 file end: before the next box of its type, or else."""
    at = start
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or (at > start and head[4:8] == b"ftyp"):
            return at
        size = int.from_bytes(head[:4], "big")
        if size == 1 and len(head) == 16:
            size = int.from_bytes(head[8:], "big")
        if size < 8:
            break
        at += size
    return os.fstat(file.fileno()).st_size


def _end_of_segment(file: BinaryIO, start: int) -> int | None:
    """Returns where the segment of a Matroska file ends, if it states its length."""
    at = start
    for _ in range(2):  # the header, and the segment
        file.seek(at)
        head = file.read(12)
        length = 9 - head[4].bit_length() if len(head) == 12 else 9
        if length > 8:
            return None
        size = int.from_bytes(head[4 : 4 + length], "big") - (1 << 7 * length)
        if size == (1 << 7 * length) - 1:
            return None  # unknown, as of a live recording
        at += 4 + length + size
    return at


_FORMATS = (
    _Format(
        re.compile(rb"\x1a\x45\xdf\xa3(?:(?!\x1a\x45\xdf\xa3).){1,48}?(?:matroska|webm)", re.S),
        b"\x1a\x45\xdf\xa3",
        0,
        _end_of_segment,
    ),
    _Format(re.compile(rb"\0\0\0[\x10-\xff]ftyp[ -~]{4}"), b"ftyp", 4, _end_of_boxes),
    _Format(re.compile(rb"FLV\x01[\0-\x07]\0\0\0\x09\0\0\0\0"), b"FLV\x01", 0, lambda *_: None),
    # Behind the byte that ends another one.
    _Format(re.compile(rb"(?<![^;])GIF8[79]a"), b"GIF8", 0, lambda *_: None),
)


def _format_of(head: bytes) -> _Format | None:
    return next((one for one in _FORMATS if one.header.match(head)), None)


def parts_of(path: Path) -> tuple[Part, ...]:
    """Returns the recordings in a file, mostly one.

    Raises:
      UserError: there are more than 1000.
    """
    state = path.stat()
    return _parts_once(path, os.path.abspath(path), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _parts_once(path: Path, *state: str | int) -> tuple[Part, ...]:
    starts, size = [0], path.stat().st_size
    with path.open("rb") as file:
        form = _format_of(file.read(_LONGEST))
        while form is not None:
            end = form.end_of(file, starts[-1])
            start = _find_in_file(form, file, starts[-1] + 1 if end is None else end)
            if start < 0:
                break
            starts.append(start)
            if len(starts) > _MOST_PARTS:
                raise UserError(f"{path}: more than {_MOST_PARTS} recordings in one file")
    return tuple(Part(*ends) for ends in zip(starts, [*starts[1:], size], strict=True))


def _find_in_file(form: _Format, file: BinaryIO, start: int) -> int:
    """Returns the place of the first header from a place in a file on; -1 if there is none."""
    kept = b""
    file.seek(start)
    while more := file.read(_CHUNK):
        content = kept + more
        at = form.find(content, 0)
        if at >= 0:
            return start + at
        kept = content[-_LONGEST:]
        start += len(content) - len(kept)
    return -1


class JoinedSource:
    """The recordings that arrive through a pipe; reading ends at the end of each one."""

    def __init__(self, source: ByteSource):
        """Begins with the first recording.

        Args:
          source: where the bytes come from.
        """
        self._source, self._buffer, self._exhausted = source, b"", False
        self._form: _Format | None = None
        self._begun = False  # whether bytes of this recording were returned

    def read(self, size: int) -> bytes:
        """Returns at most `size` of the recording's next bytes; none at its end."""
        while not (sure := self._sure()) and not self._exhausted and not self._at_join():
            more = self._source.read(size)
            self._exhausted = not more
            self._buffer += more
        content, self._buffer = self._buffer[: min(size, sure)], self._buffer[min(size, sure) :]
        self._begun = self._begun or bool(content)
        return content

    def next_recording(self) -> bool:
        """Goes on to the next recording, if there is one; returns whether there is."""
        while self._form is not None and self.read(_CHUNK):
            pass
        found = self._at_join()
        self._begun = False
        return found

    def _at_join(self) -> bool:
        form = self._form
        return bool(self._begun and form is not None and form.header.match(self._buffer))

    def _sure(self) -> int:
        """Returns how many bytes of the buffer are known to belong to this recording."""
        if not self._begun and len(self._buffer) < _LONGEST and not self._exhausted:
            return 0
        if not self._begun:
            self._form = _format_of(self._buffer)
        if self._form is None:
            return len(self._buffer)
        skipped = 0 if self._begun else 1  # of the recording's own header
        at = self._form.find(self._buffer, skipped)
        if at >= 0:
            return at
        return len(self._buffer) if self._exhausted else self._form.sure(self._buffer)
