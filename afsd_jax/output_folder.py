"""A folder of results: each video's files are written as soon as it is done, and found again.

NAME.json holds all detections of one video. Its `external_data` says by digests what they were
made from (`made_by`) and which of them the other files show (`shown`). It is written last: where it
is, the others are.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from afsd_jax import fingerprint
from afsd_jax.activitynet_json import join_predictions, predictions_of, write_predictions
from afsd_jax.errors import UserError
from afsd_jax.files import naming_failure, read_json
from afsd_jax.outputs import Choice, write_shown
from afsd_jax.report.page import VideoReport
from afsd_jax.report.tracks import Track


class OutputFolder:
    """Results of videos in a folder.

    Attributes:
      folder: its path.
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
        self.folder, self._choice = folder, choice
        self.combined = folder / f"detections{part}.json"
        self._formats = [name for name in formats if name != "json"]
        self.shows_frames = "html" in formats
        self._shown = fingerprint.of_values(*choice)

    def files(self, names: Sequence[str]) -> Iterator[Path]:
        """Yields every file that will be written if these videos are detected in."""
        yield self.combined
        for name in names:
            yield self._json(name)
            yield from self._for_people(name)

    def holds(self, name: str, made_by: str) -> bool:
        """Returns whether a video is done; files for people that are missing are written.

        Only a page makes a video be looked at anew: it shows frames.

        Args:
          name: of the video.
          made_by: digest of what its detections are made from.
        """
        try:
            found = read_json(self._json(name))
            detections = predictions_of(found, self._json(name))[name]
            made: dict[str, Any] = found["external_data"]
            if made["made_by"] != made_by:
                return False
            duration_s, same = float(made["duration_s"]), made["shown"] == self._shown
        except (UserError, KeyError, TypeError, ValueError):  # no result, or not one of ours
            return False
        missing = [path for path in self._for_people(name) if not (same and path.is_file())]
        if any(path.suffix == ".html" for path in missing):
            return False
        if missing or not same:
            self._write(VideoReport(Track(name, duration_s, detections)), made_by, missing)
        return True

    def write(self, video: VideoReport, made_by: str) -> None:
        """Writes the files of one video.

        Raises:
          UserError: one cannot be written.
        """
        self._write(video, made_by, self._for_people(video.track.name))

    def finish(self, names: Sequence[str]) -> int:
        """Writes all detections of these videos, which are done, into one file.

        Returns:
          Their number.

        Raises:
          UserError: it cannot be written.
        """
        return join_predictions(self.combined, {name: self._json(name) for name in names})

    def _write(self, video: VideoReport, made_by: str, for_people: Sequence[Path]) -> None:
        name, duration_s, detections, _ = video.track
        for path in for_people:
            with naming_failure(path):
                write_shown(path, video, self._choice)
        made = {"made_by": made_by, "shown": self._shown, "duration_s": duration_s}
        with naming_failure(self._json(name)):
            write_predictions(self._json(name), {name: detections}, external_data=made)

    def _json(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _for_people(self, name: str) -> list[Path]:
        return [self.folder / f"{name}.{suffix}" for suffix in self._formats]
