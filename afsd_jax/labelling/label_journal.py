"""The journal of all changes, and the snapshot that makes a long one short.

Each change is a line that is on the disk before the change is answered. A line that a killed
process left half-written was not answered, and is cut off.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from afsd_jax.errors import UserError
from afsd_jax.io.files import append, atomic_write, naming_failure, read_bytes
from afsd_jax.labelling.changes import Change, ClassChange, Suggested, VideoChange, changed
from afsd_jax.labelling.records import Labels

JOURNAL, SNAPSHOT = "journal.jsonl", "snapshot.json"


class Writing(msgspec.Struct, frozen=True, tag="writing"):
    """The labels file is about to get the content with this digest."""

    digest: str


class Written(msgspec.Struct, frozen=True, tag="written"):
    """The labels file has the labels of this version."""

    version: int


class _Line(msgspec.Struct, frozen=True):
    """A change, and the version of the labels after it; of other entries, that before."""

    version: int
    entry: VideoChange | ClassChange | Suggested | Writing | Written


class Snapshot(msgspec.Struct, frozen=True):
    """The labels at one time.

    Attributes:
      labels: everything that is labelled.
      paths: of the videos' files, relative to the folder of the labels file, by name.
      digests: of the contents that the labels file may have if no other program changed it.
    """

    labels: Labels = Labels()
    paths: dict[str, str] = {}
    digests: list[str] = []


class Restored(NamedTuple):
    """What a journal holds.

    labels: the latest labels. written: labels that the file has certainly had; the file may have
    later ones. digests, paths: as of `Snapshot`. new: whether nothing was there.
    """

    labels: Labels
    written: Labels
    digests: tuple[str, ...]
    paths: dict[str, str]
    new: bool


class Journal:
    """The journal and the snapshot in a folder."""

    def __init__(self, folder: Path):
        """Writes nothing yet."""
        self._path, self._snapshot = folder / JOURNAL, folder / SNAPSHOT

    @property
    def size(self) -> int:
        """Bytes of the journal."""
        return self._path.stat().st_size if self._path.exists() else 0

    def restore(self) -> Restored:
        """Reads the snapshot and the changes after it, and cuts off half a line.

        Raises:
          UserError: a file is damaged.
        """
        snapshot, new = Snapshot(), not self._snapshot.exists()
        if new and self._path.exists():  # killed while it was opened for the first time
            with naming_failure(self._path):
                self._path.unlink()
        if not new:
            try:
                snapshot = msgspec.json.decode(read_bytes(self._snapshot), type=Snapshot)
            except msgspec.DecodeError as error:
                raise UserError(f"{self._snapshot}: damaged ({error}); remove it") from error
        labels = written = snapshot.labels
        digests, since = list(snapshot.digests), {labels.version: labels}
        for number, line in enumerate(self._lines(), 1):
            with self._naming(number):
                kept = msgspec.json.decode(line, type=_Line)
            entry = kept.entry
            if isinstance(entry, Writing):
                digests.append(entry.digest)
            elif isinstance(entry, Written):
                digests = digests[-1:]
                if entry.version in since:
                    written = since[entry.version]
                    since = {v: one for v, one in since.items() if v >= entry.version}
            elif kept.version > labels.version:
                labels = changed(labels, entry)
                since[labels.version] = labels
        return Restored(labels, written, tuple(digests), snapshot.paths, new)

    def _lines(self) -> Iterator[bytes]:
        if not self._path.exists():
            return
        content = read_bytes(self._path)
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with naming_failure(self._path):
                os.truncate(self._path, whole)
        yield from content[:whole].splitlines()

    @contextlib.contextmanager
    def _naming(self, number: int) -> Iterator[None]:
        try:
            yield
        except msgspec.DecodeError as error:
            raise UserError(
                f"{self._path}: line {number} is damaged ({error}); remove this line"
            ) from error

    def add(self, entry: Change | Writing | Written, version: int) -> None:
        """Writes an entry to the disk, completely or not at all.

        Args:
          entry: the entry.
          version: of the labels after it.

        Raises:
          WriteError: it cannot be written, such as on a full disk.
        """
        append(self._path, msgspec.json.encode(_Line(version, entry)) + b"\n")
        with naming_failure(self._path), open(self._path, "rb") as file:
            os.fsync(file.fileno())

    def shorten(self, snapshot: Snapshot) -> None:
        """Replaces the journal by a snapshot of all its changes.

        Between the two steps the journal holds changes that the snapshot has, too; restoring passes
        over them.

        Args:
          snapshot: the labels, which the labels file has, too.
        """
        with atomic_write(self._snapshot) as temporary:
            temporary.write_bytes(msgspec.json.encode(snapshot))
        with atomic_write(self._path) as temporary:
            temporary.write_bytes(b"")
