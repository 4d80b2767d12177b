"""Keeps what is labelled: in a journal at once, and in the labels file soon after.

The labels file may be changed by another program at any time. Such changes are merged before it is
written again, with a copy of what it held; a file that cannot be read is not written.
"""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write, make_folder, read_bytes
from afsd_jax.labelling import labels_file
from afsd_jax.labelling.changes import Change, VideoChange, changed
from afsd_jax.labelling.label_journal import Journal, Restored, Snapshot, Writing, Written
from afsd_jax.labelling.labels_file import FileContent
from afsd_jax.labelling.records import Labels

SUFFIX = ".afsd"  # of the folder beside the labels file
_LONG = 1 << 20  # bytes of a journal that is replaced by a snapshot
_NOTHING = FileContent({}, (), {})
_State = tuple[int, int, int] | None  # of a file: what another program's change changes


class _ChangedMeanwhile(Exception):
    """Another program changed the labels file while it was being written."""


class Synced(NamedTuple):
    """What writing the labels file did.

    message: what another program had done to it; None: nothing. changes: those merged from it.
    """

    message: str | None
    changes: list[VideoChange]


class LabelStore:
    """The labels of a file, restored from the folder beside it; methods may be called by threads.

    Attributes:
      folder: the folder beside the labels file.
      labels: the latest labels.
      refused: why the labels file cannot be written now; None if it can.
    """

    def __init__(
        self,
        path: Path,
        videos: Mapping[str, Path],
        durations_s: Mapping[str, float],
        start: Path | None = None,
    ):
        """Restores the labels and takes over what the file holds.

        Args:
          path: labels file; it may be missing.
          videos: the files of the given videos, by name.
          durations_s: their lengths, seconds.
          start: annotations to begin with, if nothing has been labelled yet.

        Raises:
          UserError: the file, the annotations or what was kept cannot be read.
        """
        self.path, self.folder = path, folder_of(path)
        self._videos, self._durations_s = videos, durations_s
        self._journal, self._lock = Journal(self.folder), threading.RLock()
        self._syncing = threading.Lock()
        self._content = _NOTHING
        restored = self._journal.restore()
        self.refused: str | None = None
        self.labels, self._base = self._known_names(restored)
        self._in_file: Labels | None = None  # labels that the file has; None: it must be written
        self._digests = list(restored.digests)
        self._seen: _State = None
        self._digest = ""  # of the content that was seen
        if restored.new:
            self._begin(start)
        elif path.exists():
            self._content = labels_file.read_content(path, videos)
        self.sync()
        self._shorten()

    def _known_names(self, restored: Restored) -> tuple[Labels, Labels]:
        """Returns the restored labels with the names that the videos' files have now."""
        now = {_relative(path, self.path): name for name, path in self._videos.items()}
        names = {old: now[place] for old, place in restored.paths.items() if place in now}
        return _with_names(restored.labels, names), _with_names(restored.written, names)

    def _begin(self, start: Path | None) -> None:
        """Takes over the annotations of the labels file or, without it, those to begin with."""
        if self.path.exists():
            content = self.path.read_bytes()
            self._content = labels_file.read_content(self.path, self._videos)
            self._import(self._content)
            self._keep_copy(content)
            self._base, self._digests = self.labels, [labels_file.digest_of(content)]
        elif start is not None:
            self._import(labels_file.read_content(start, self._videos))

    def _import(self, content: FileContent) -> None:
        make_folder(self.folder)
        for change in labels_file.imported(content):
            self.change(change)

    def change(self, change: Change) -> Labels:
        """Makes a change, which is on the disk when this returns, and returns the labels after it.

        Raises:
          WriteError: it cannot be written; nothing has changed.
        """
        with self._lock:
            after = changed(self.labels, change)
            self._journal.add(change, after.version)
            self.labels = after
            return after

    def sync(self) -> Synced:
        """Merges what another program did to the labels file, and writes what is labelled."""
        with self._syncing:
            synced = Synced(None, []) if self._state() == self._seen else self._merged()
            if self.refused is None and self.labels is not self._in_file:
                self._write()
            if self._journal.size > _LONG:
                self._shorten()
            return synced

    def close(self) -> None:
        """Writes the labels file, and a snapshot in place of the journal."""
        self.sync()
        self._shorten()

    def _state(self) -> _State:
        try:
            return _state_of(self.path)
        except FileNotFoundError:
            return None

    def _merged(self) -> Synced:
        """Takes over the present content of the labels file, whoever wrote it."""
        state, name = self._state(), self.path.name
        if state is None:
            self._seen = self._in_file = self.refused = None
            return Synced(f"{name} was removed by another program; it is written again", [])
        try:
            content = read_bytes(self.path)
            digest = labels_file.digest_of(content)
            if digest in self._digests:
                self._seen, self._digest, self.refused = state, digest, None
                return Synced(None, [])
            labels_file.check_labels_path(self.path)
            found = labels_file.read_content(self.path, self._videos)
        except UserError as error:
            self._seen = state
            self.refused = (
                f"{name} was changed by another program and cannot be read, so it is not written; "
                f"repair or remove it, your changes are kept until then ({error})"
            )
            return Synced(self.refused, [])
        self._keep_copy(content)
        with self._lock:
            changes = labels_file.merge(found, self._base, self.labels)
            for change in changes:
                self.change(change)
        self._content, self._seen, self.refused = found, state, None
        self._digest, self._digests = digest, [digest]
        self._base, self._in_file = Labels(), None
        put, gone = sum(len(c.put) for c in changes), sum(len(c.remove) for c in changes)
        text = f"{name} was changed by another program; merged: {put} added, {gone} removed"
        return Synced(text, changes)

    def _keep_copy(self, content: bytes) -> None:
        """Keeps what another program wrote: notes in its other columns are not in the labels."""
        name = f"{labels_file.digest_of(content)[:12]}{self.path.suffix}"
        with atomic_write(self.folder / "originals" / name) as temporary:
            temporary.write_bytes(content)

    def _write(self) -> None:
        labels = self.labels
        if self._seen is None and not any(map(labels_file.is_listed, labels.videos.values())):
            return  # nothing is labelled yet
        text = labels_file.file_text(
            self.path, labels, self._videos, self._durations_s, self._content
        )
        content = text.encode()
        digest = labels_file.digest_of(content)
        if self._seen is None or digest != self._digest:
            make_folder(self.folder)
            self._journal.add(Writing(digest), labels.version)
            self._digests.append(digest)
            try:
                written = self._replace(content)
            except _ChangedMeanwhile:
                return  # merged the next time
            self._journal.add(Written(labels.version), labels.version)
            self._digest, self._digests = digest, [digest]
            self._seen = written
        self._base = self._in_file = labels

    def _replace(self, content: bytes) -> _State:
        """Writes the labels file; returns its state, even if another program writes it right after.

        Raises:
          _ChangedMeanwhile: another program wrote it before.
        """
        with atomic_write(self.path) as temporary, open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if self._state() != self._seen:
                raise _ChangedMeanwhile
            return _state_of(temporary)  # which renaming keeps

    def _shorten(self) -> None:
        with self._lock:
            if self._in_file in (None, self.labels) and self.refused is None:
                paths = {name: _relative(path, self.path) for name, path in self._videos.items()}
                self._journal.shorten(Snapshot(self.labels, paths, self._digests))


def _state_of(path: Path) -> tuple[int, int, int]:
    state = os.stat(path)
    return state.st_mtime_ns, state.st_size, state.st_ino


def folder_of(path: Path) -> Path:
    """Returns the folder beside a labels file, for what the file cannot hold.

    It is hidden: nobody who reads a folder of videos or annotations looks into it.
    """
    return path.with_name(f".{path.name}{SUFFIX}")


def _relative(video: Path, labels: Path) -> str:
    return os.path.relpath(os.path.abspath(video), os.path.abspath(labels.parent))


def _with_names(labels: Labels, names: Mapping[str, str]) -> Labels:
    """Returns labels with other names of videos; a name that is taken stays."""
    videos = {names.get(name, name): video for name, video in labels.videos.items()}
    return replace(labels, videos=videos) if len(videos) == len(labels.videos) else labels
