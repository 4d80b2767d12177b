"""What is found in one video: a list of detections that can be looked at and written down."""

import os
import tempfile
import webbrowser
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from afsd_jax.errors import UserError
from afsd_jax.io import activitynet_json, files
from afsd_jax.report import subtitles, table
from afsd_jax.report.inline import inline_html
from afsd_jax.report.page import VideoReport, write_page
from afsd_jax.report.timeline import timeline_figure
from afsd_jax.report.tracks import Track, classes_of
from afsd_jax.results import notebook
from afsd_jax.results.clips import write_clip
from afsd_jax.results.footage import DetectedVideo
from afsd_jax.results.writers import FORMATS, TITLE, Selection, write_shown
from afsd_jax.types import Detection

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MIN_SCORE = Selection().min_score


class Detections(list[Detection]):
    """The detections of one video, best first; as a list it equals a plain list of the same.

    A notebook shows it as a timeline. `to_json`, `to_csv` and `to_df` hold every detection; what is
    made for people leaves out those that score less than `min_score`. Slices and `above` keep the
    video; other operations of lists give plain lists.

    Attributes:
      video: name, path, duration and classes of the video.
    """

    def __init__(self, found: Iterable[Detection], video: DetectedVideo):
        """Takes the detections in their order, and their video."""
        super().__init__(found)
        self.video = video

    @overload
    def __getitem__(self, index: SupportsIndex) -> Detection: ...
    @overload
    def __getitem__(self, index: slice) -> "Detections": ...
    def __getitem__(self, index: Any) -> Any:
        chosen = super().__getitem__(index)
        return Detections(chosen, self.video) if isinstance(index, slice) else chosen

    def __reduce__(self) -> Any:
        return Detections, (list(self), self.video)

    def __repr__(self) -> str:
        text = f"{self.video.name}, {self.video.duration_s:.1f} s: {len(self)} found"
        if self:
            best = max(self, key=lambda detection: detection.score)
            text += f", best {best.label} {best.score:.2f}, {best.start_s:.1f}–{best.end_s:.1f} s"
        return f"Detections({text})"

    def above(self, min_score: float) -> "Detections":
        """Returns the detections that reach a score."""
        return Detections((found for found in self if found.score >= min_score), self.video)

    def to_json(self) -> str:
        """Returns the text of an ActivityNet predictions file, as `afsd detect` writes it."""
        return files.json_text(activitynet_json.predictions({self.video.name: self}))

    def to_csv(self) -> str:
        """Returns comma-separated values: a line `label,score,start_s,end_s` for each detection."""
        return table.csv_text(self)

    def to_df(self) -> "pd.DataFrame":
        """Returns a pandas table: a row label, score, start_s, end_s for each detection.

        Raises:
          UserError: pandas is not installed.
        """
        return table.data_frame(self)

    def to_srt(self, min_score: float = MIN_SCORE) -> str:
        """Returns subtitles in SubRip's format."""
        return subtitles.srt(self._cues(min_score))

    def to_vtt(self, min_score: float = MIN_SCORE) -> str:
        """Returns subtitles in the format WebVTT, of browsers."""
        return subtitles.vtt(self._cues(min_score))

    def plot(self, min_score: float = MIN_SCORE) -> "Figure":
        """Returns a Matplotlib figure of the timeline; its `savefig` writes a picture."""
        return timeline_figure([self._report().track], min_score=min_score, labels=self._labels)

    def show(self, min_score: float = MIN_SCORE) -> None:
        """Shows the timeline below a notebook's cell; elsewhere opens a page in the browser.

        On the page weaker detections can be made visible. It is written into a new temporary
        folder, whose path is printed where no browser can be opened.
        """
        if notebook.running():
            notebook.show_html(self._html(min_score))
            return
        page = Path(tempfile.mkdtemp(prefix="afsd-")) / "detections.html"
        video = self._report(with_frames=True)
        write_page(page, [video], title=TITLE, min_score=min_score, labels=self._labels)
        if not webbrowser.open(page.as_uri()):
            print(f"no browser can be opened here; open {page}")

    def save(
        self,
        folder: str | os.PathLike[str],
        formats: str | Sequence[str] = FORMATS,
        min_score: float = MIN_SCORE,
    ) -> list[Path]:
        """Writes one file of each format into a folder, NAME.json, NAME.html, …

        Args:
          folder: is made where it is missing; files of these names in it are replaced.
          formats: some of json, csv, vtt, srt, html, png; all by default. The JSON file holds all
            detections.
          min_score: of what the other files show.

        Returns:
          The files, in the order of `formats`.

        Raises:
          UserError: a format is unknown, a file is the video itself or cannot be written.
        """
        names = [formats] if isinstance(formats, str) else list(dict.fromkeys(formats))
        for name in names:
            if name not in FORMATS:
                raise UserError(f"format {name}: must be some of {','.join(FORMATS)}")
        files.check_output_folder(folder, parents=True)
        paths = [Path(folder) / f"{self.video.name}.{name}" for name in names]
        files.check_apart(paths, [self.video.path])
        selection = Selection(min_score, classes=self.video.class_names)
        for path, name in zip(paths, names, strict=True):
            with files.naming_failure(path):
                if name == "json":
                    activitynet_json.write_predictions(path, {self.video.name: self})
                else:
                    write_shown(path, self._report(with_frames=name == "html"), selection)
        return paths

    def clip(
        self,
        index: int,
        path: str | os.PathLike[str] | None = None,
        margin_s: float = 0.0,
    ) -> Path:
        """Cuts one action out of the video; a notebook shows it below the cell, too.

        Args:
          index: of the detection in this list.
          path: of the mp4 file to write; default: a new one in a temporary folder. It has H.264 at
            the video's own size, and no sound.
          margin_s: seconds to show before and after the action.

        Returns:
          The file's path.

        Raises:
          IndexError: there is no such detection.
          UserError: the video is not there any more, or the file cannot be written.
        """
        found, footage = self[index], self.video.footage
        if footage is None:
            raise UserError("there are no pictures to cut a clip from: the video was given as flow")
        if path is None:
            path = Path(tempfile.mkdtemp(prefix="afsd-")) / f"clip_{index}.mp4"
        files.check_apart([path], [self.video.path])
        start_s = max(found.start_s - margin_s, 0.0)
        write_clip(path, footage.between(start_s, found.end_s + margin_s))
        if notebook.running():
            notebook.show_video(Path(path))
        return Path(path)

    def _repr_html_(self) -> str:
        return self._html(MIN_SCORE)

    def _html(self, min_score: float) -> str:
        video = self._report(with_frames=True)
        return inline_html(video, min_score=min_score, labels=self._labels)

    def _report(self, with_frames: bool = False) -> VideoReport:
        track = Track(self.video.name, self.video.duration_s, self)
        frames, frames_s = self.video.pictures if with_frames else (None, [])
        return VideoReport(track, frames, frames_s, path=self.video.path)

    def _cues(self, min_score: float) -> list[subtitles.Cue]:
        return subtitles.readable_cues(self, min_score, self.video.duration_s)

    @property
    def _labels(self) -> list[str]:
        """All classes in the order that fixes their colours; a video-level classifier adds some."""
        return classes_of([self._report().track], self.video.class_names)
