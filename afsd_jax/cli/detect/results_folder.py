"""A folder of results: each video's files are written as soon as it is done, and found again.

NAME.json holds all detections of one video. Its `external_data` says by digests what they were
made from (`made_by`) and which of them the other files show (`shown`). It is written last: where it
is, the others are.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from afsd_jax.errors import UserError
from afsd_jax.io import fingerprint
from afsd_jax.io.activitynet_json import join_predictions, predictions_of, write_predictions
from afsd_jax.io.files import naming_failure, read_json
from afsd_jax.report.index_page import index_entry, write_index
from afsd_jax.report.page import VideoReport
from afsd_jax.report.tracks import Track
from afsd_jax.results.writers import Choice, write_shown
from afsd_jax.types import Action


class OutputFolder:
    """Results of videos in a folder.

    Attributes:
      folder: its path.
      choice: what people are shown; its classes may be filled in before anything is written.
      combined: the file of all videos' detections.
      shows_frames: whether a file of a video shows some of its frames.
    """

    def __init__(self, folder: Path, formats: Sequence[str], choice: Choice, part: str = ""):
        """Writes nothing yet.

        Args:
          folder: is made where it is missing.
          formats: of `outputs.FORMATS`; JSON is written in any case.
          choice: what people are shown.
          part: of all videos that these are, for the name of the combined file.
        """
        self.folder, self.choice = folder, choice
        self.combined = folder / f"detections{part}.json"
        self._index = folder / f"index{part}.html" if "html" in formats else None
        self._formats = [name for name in formats if name != "json"]
        self.shows_frames = "html" in formats

    def files(self, names: Sequence[str]) -> Iterator[Path]:
        """Yields every file that will be written if these videos are detected in."""
        yield self.combined
        if self._index:
            yield self._index
        for name in names:
            yield self._json(name)
            yield from self._for_people(name)

    def holds(self, name: str, made_by: str, actions: Sequence[Action] | None = None) -> bool:
        """Returns whether a video is done; files for people that are missing are written.

        Only a page makes a video be looked at anew: it shows frames.

        Args:
          name: of the video.
          made_by: digest of what its detections are made from.
          actions: its true actions, which files for people show.
        """
        try:
            track, made = self._read(name)
            if made["made_by"] != made_by:
                return False
            track = track._replace(actions=actions)
            same = made["shown"] == self._shown(track)
        except (UserError, KeyError, TypeError, ValueError):  # no result, or not one of ours
            return False
        missing = [path for path in self._for_people(name) if not (same and path.is_file())]
        if any(path.suffix == ".html" for path in missing):
            return False
        if missing or not same:
            damaged = made.get("damaged", {}).get(name, 0)
            self._write(VideoReport(track, damaged=damaged), made_by, missing)
        return True

    def write(self, video: VideoReport, made_by: str) -> None:
        """Writes the files of one video.

        Raises:
          UserError: one cannot be written.
        """
        self._write(video, made_by, self._for_people(video.track.name))

    def finish(self, names: Sequence[str]) -> int:
        """Writes all detections of these videos, which are done, into one file, and lists pages.

        Returns:
          Their number.

        Raises:
          UserError: it cannot be written.
        """
        if self._index:
            with naming_failure(self._index):
                self._write_index(self._index, names)
        return join_predictions(self.combined, {name: self._json(name) for name in names})

    def _write_index(self, path: Path, names: Sequence[str]) -> None:
        choice, entries = self.choice, []
        for name in names:
            track, _ = self._read(name)
            chosen = track._replace(detections=choice.of(track.detections))
            entries.append(index_entry(self.folder / f"{name}.html", chosen, choice.min_score))
        write_index(path, entries, min_score=choice.min_score, labels=choice.classes)

    def _read(self, name: str) -> tuple[Track, dict[str, Any]]:
        """Returns a video's detections, and what they were made from."""
        found = read_json(self._json(name))
        detections = predictions_of(found, self._json(name))[name]
        made: dict[str, Any] = found["external_data"]
        return Track(name, float(made["duration_s"]), detections), made

    def _shown(self, track: Track) -> str:
        """Returns a digest of what people are shown besides the detections."""
        truth = None
        if track.actions is not None:
            truth = [(action.label, action.start_s, action.end_s) for action in track.actions]
        return fingerprint.of_values(*self.choice, truth)

    def _write(self, video: VideoReport, made_by: str, for_people: Sequence[Path]) -> None:
        name, duration_s, detections, _ = video.track
        for path in for_people:
            with naming_failure(path):
                write_shown(path, video, self.choice)
        made = {"made_by": made_by, "shown": self._shown(video.track), "duration_s": duration_s}
        if video.damaged:
            made["damaged"] = {name: video.damaged}
        with naming_failure(self._json(name)):
            write_predictions(self._json(name), {name: detections}, external_data=made)

    def _json(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _for_people(self, name: str) -> list[Path]:
        return [self.folder / f"{name}.{suffix}" for suffix in self._formats]
