"""A folder of results: the files of each video are written as soon as it is done.

NAME.json holds all detections of one video. Its `external_data` has digests of what they depend on
(`made_by`) and of what the other files show (`shown`), by which a later run knows whether the video
is done. It is written last: if it exists, the other files do, too. Checksums of the other files
(`files`) and of its own content (`content`) detect damage; folders of earlier versions have none.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from afsd_jax.cli.marked_inputs import with_file
from afsd_jax.data.annotations import output_files, write_annotations
from afsd_jax.errors import UserError
from afsd_jax.io import fingerprint, locks
from afsd_jax.io.activitynet_json import join_predictions, predictions, predictions_of
from afsd_jax.io.files import naming_failure, read_json, write_json
from afsd_jax.io.fingerprint import crc32c
from afsd_jax.io.json_fields import number, require_dict
from afsd_jax.io.video_names import file_name
from afsd_jax.report.index_page import index_entry, write_index
from afsd_jax.report.page import VideoReport
from afsd_jax.report.tracks import Track
from afsd_jax.results.formats import FORMATS, TOOLS
from afsd_jax.results.writers import Selection, write_shown
from afsd_jax.types import Action, MarkedVideo

_OF_ALL = re.compile(r"(detections|index)(-\d+-of-\d+)?")


class ResultsFolder:
    """Results of videos in a folder.

    Attributes:
      folder: path of the folder.
      combined: path of the file with the detections of all videos.
      shows_frames: whether the files of a video show some of its frames.
      tools: tools for annotation that files are written for.
    """

    def __init__(self, folder: Path, formats: Sequence[str], selection: Selection, part: str = ""):
        """Writes nothing yet.

        Args:
          folder: path of the folder, which is made if it is missing.
          formats: some of `formats.FORMATS` and `TOOLS`; JSON is always written.
          selection: which detections people are shown.
          part: shard of all videos, as it stands in the names of files of several videos.
        """
        self.folder, self._selection = folder, selection
        self.combined = folder / f"detections{part}.json"
        self._lock = f"{locks.NAME}{part}"
        self.index = folder / f"index{part}.html" if "html" in formats else None
        self._formats = [name for name in formats if name in FORMATS and name != "json"]
        self.tools = [name for name in formats if name in TOOLS]
        self._stem = f"detections{part}"
        self.shows_frames = "html" in formats

    def files(self, names: Sequence[str]) -> Iterator[Path]:
        """Yields every file that detecting in these videos writes."""
        yield self.combined
        if self.index:
            yield self.index
        for tool in self.tools:
            videos = [MarkedVideo(name, []) for name in names]
            yield from output_files(tool, videos, self.folder, self._stem)
        for name in names:
            yield self._json(name)
            yield from self._for_people(name)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which no other process detects in the same shard of all videos.

        Raises:
          UserError: another process does.
        """
        return locks.locked(self.folder, "detecting", self._lock)

    def complete(self, name: str, digest: str, actions: Sequence[Action] | None = None) -> bool:
        """Writes the missing files for people, if the detections of the video are done.

        A video with a missing page is not done: the page shows frames of it.

        Args:
          name: name of the video.
          digest: digest of what its detections depend on.
          actions: its true actions, which files for people show.

        Returns:
          Whether the video is done.
        """
        try:
            track, made = self._read(name)
            if made["made_by"] != digest:
                return False
            track = track._replace(actions=actions)
            same = made["shown"] == self._shown(track)
            whole = self._whole(name, made) if same else {}
        except (UserError, KeyError, TypeError, ValueError):  # no file of `write`
            return False
        missing = [path for path in self._for_people(name) if path.suffix not in whole]
        if any(path.suffix == ".html" for path in missing):
            return False
        if missing or not same:
            damaged = made.get("damaged", {}).get(name, 0)
            self._write(VideoReport(track, damaged=damaged), digest, missing, whole)
        return True

    def write(self, video: VideoReport, digest: str) -> None:
        """Writes the files of one video.

        Raises:
          UserError: a file cannot be written.
        """
        self._write(video, digest, self._for_people(video.track.name))

    def finish(self, names: Sequence[str]) -> int:
        """Writes all detections of these videos into one file, and the list of their pages.

        Returns:
          The number of detections.

        Raises:
          UserError: a file cannot be written.
        """
        if self.index:
            with naming_failure(self.index):
                self._write_index(self.index, names)
        parts = {name: self._json(name) for name in names}
        return join_predictions(self.combined, parts, self._selection.measured())

    def write_for_tools(
        self, names: Sequence[str], path_of: Callable[[str], Path | None]
    ) -> dict[str, list[Path]]:
        """Writes the detections that people are shown as files for tools for annotation.

        Args:
          names: the videos.
          path_of: returns the file of a video; None: there is none.

        Returns:
          The files of each tool.

        Raises:
          UserError: a file cannot be written or read.
        """
        videos = []
        for name in names if self.tools else ():
            track, _ = self._read(name)
            shown = self._selection.reaching(self._selection.best(track.detections))
            marks = sorted(shown, key=lambda detection: detection.start_s)
            video = MarkedVideo(name, marks, detected=True, duration_s=track.duration_s)
            path = path_of(name)
            videos.append(video if path is None else with_file(video, path))
        return {
            tool: list(write_annotations(tool, videos, self.folder, self._stem))
            for tool in self.tools
        }

    def _write_index(self, path: Path, names: Sequence[str]) -> None:
        selection, entries = self._selection, []
        for name in names:
            track, _ = self._read(name)
            best = selection.reaching(selection.best(track.detections))
            chosen = track._replace(detections=best)
            entries.append(index_entry(self._path(name, "html"), chosen, 0.0))
        write_index(path, entries, min_score=selection.min_score, labels=selection.classes)

    def _read(self, name: str) -> tuple[Track, dict[str, Any]]:
        """Returns the detections of a video, and the `external_data` of its file."""
        found = read_json(self._json(name))
        detections = predictions_of(found, self._json(name))[name]
        made: dict[str, Any] = require_dict(found["external_data"], f"{self._json(name)}: made")
        content = made.pop("content", None)
        if content is not None and content != fingerprint.of_values(found):
            raise UserError(f"{self._json(name)}: has changed since it was written")
        require_dict(made.get("damaged", {}), f"{self._json(name)}: damaged")
        duration_s = number(made["duration_s"], f"{self._json(name)}: duration_s")
        if duration_s <= 0:
            raise UserError(f"{self._json(name)}: duration_s must be above 0")
        return Track(name, duration_s, detections), made

    def _shown(self, track: Track) -> str:
        """Returns a digest of what files for people show besides the detections."""
        truth = None
        if track.actions is not None:
            truth = [(action.label, action.start_s, action.end_s) for action in track.actions]
        *selected, thresholds = self._selection
        of_classes = [] if thresholds is None else [thresholds]
        return fingerprint.of_values(*selected, *of_classes, truth)

    def _whole(self, name: str, made: Mapping[str, Any]) -> dict[str, int]:
        """Returns the checksums of a video's files for people that are as they were written."""
        sums = {path.suffix: crc32c(path) for path in self._all(name) if path.is_file()}
        expected = made.get("files", sums)
        return {suffix: value for suffix, value in sums.items() if expected.get(suffix) == value}

    def _write(
        self,
        video: VideoReport,
        digest: str,
        for_people: Sequence[Path],
        whole: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Writes files for people, and the JSON file with the checksums of these and `whole`."""
        name, duration_s, detections, _ = video.track
        for path in for_people:
            with naming_failure(path):
                write_shown(path, video, self._selection)
        made = {"made_by": digest, "shown": self._shown(video.track), "duration_s": duration_s}
        if video.damaged:
            made["damaged"] = {name: video.damaged}
        sums = {**whole, **{path.suffix: crc32c(path) for path in for_people}}
        made["files"] = dict(sorted(sums.items()))
        found = predictions({name: detections}, external_data=made)
        made["content"] = fingerprint.of_values(found)
        with naming_failure(self._json(name)):
            write_json(self._json(name), found | {"external_data": made})

    def _path(self, name: str, suffix: str) -> Path:
        """Returns the path of a video's file; no video takes the place of the files of all."""
        stem = f"{name} (video)" if _OF_ALL.fullmatch(name) else file_name(name)
        return self.folder / f"{stem}.{suffix}"

    def _json(self, name: str) -> Path:
        return self._path(name, "json")

    def _for_people(self, name: str) -> list[Path]:
        return [self._path(name, suffix) for suffix in self._formats]

    def _all(self, name: str) -> list[Path]:
        """Returns the files for people in all formats, also in those of other runs."""
        return [self._path(name, suffix) for suffix in FORMATS if suffix != "json"]
