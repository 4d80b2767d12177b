"""The detections of one video: a list that can be shown, and written in several formats."""

import logging
import os
import sys
import tempfile
import webbrowser
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from afsd_jax.errors import UserError
from afsd_jax.io import activitynet_json, files
from afsd_jax.io.detection_notes import DetectionNotes
from afsd_jax.io.video_names import file_name
from afsd_jax.report import subtitles, table
from afsd_jax.report.inline import inline_html
from afsd_jax.report.page import VideoReport, write_page
from afsd_jax.report.timeline import timeline_figure
from afsd_jax.report.tracks import MIN_SCORE, Track, classes_of
from afsd_jax.results.clips import DetectedVideo, write_clip
from afsd_jax.results.formats import FORMATS
from afsd_jax.results.writers import TITLE, Selection, write_shown
from afsd_jax.types import Detection

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


log = logging.getLogger(__name__)


class Detections(list[Detection]):
    """The detections of one video, best first; equal to a plain list of the same detections.

    A notebook shows it as a timeline. `to_json`, `to_csv` and `to_df` contain every detection; the
    formats for people leave out those that score less than `min_score`. Slices and `above` return
    `Detections` of the same video; other list operations return plain lists.

    Attributes:
      video: name, path, duration and classes of the video.

    Example:
      >>> from afsd_jax import Detection
      >>> from afsd_jax.results.clips import DetectedVideo
      >>> video = DetectedVideo("dog", duration_s=10.0, class_names=["jump", "run"])
      >>> found = [Detection("jump", 0.9, 1.0, 2.5), Detection("run", 0.2, 3.0, 9.0)]
      >>> detections = Detections(found, video)
      >>> detections
      Detections(dog, 10.0 s: 2 found, best jump 0.90, 1.0–2.5 s)
      >>> [detection.label for detection in detections.above(0.5)]
      ['jump']
      >>> print(detections.to_csv().strip().replace("\\r", ""))
      label,score,start_s,end_s
      jump,0.900000,1.000,2.500
      run,0.200000,3.000,9.000
    """

    def __init__(self, detections: Iterable[Detection], video: DetectedVideo):
        """Takes the detections in their order, and their video."""
        super().__init__(detections)
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
        """Returns the detections with at least this score."""
        reach = (detection for detection in self if detection.score >= min_score)
        return Detections(reach, self.video)

    def to_json(self) -> str:
        """Returns the text of an ActivityNet predictions file, as `afsd detect` writes it."""
        return files.json_text(activitynet_json.predictions({self.video.name: self}))

    def to_csv(self) -> str:
        """Returns comma-separated values: one line `label,score,start_s,end_s` per detection."""
        return table.csv_text(self)

    def to_df(self) -> "pd.DataFrame":
        """Returns a pandas table: one row label, score, start_s, end_s per detection.

        Raises:
          UserError: pandas is not installed.
        """
        return table.data_frame(self)

    def to_srt(self, min_score: float = MIN_SCORE) -> str:
        """Returns subtitles in SubRip's format."""
        return subtitles.srt(self._cues(min_score))

    def to_vtt(self, min_score: float = MIN_SCORE) -> str:
        """Returns subtitles in WebVTT, the format of browsers."""
        return subtitles.vtt(self._cues(min_score))

    def plot(self, min_score: float = MIN_SCORE) -> "Figure":
        """Returns a Matplotlib figure of the timeline; `savefig` writes it as a picture."""
        return timeline_figure([self._report().track], min_score=min_score, labels=self._labels)

    def show(self, min_score: float = MIN_SCORE) -> None:
        """Shows the timeline below a notebook's cell; elsewhere opens a page in the browser.

        The page can also show weaker detections. It is written into a new temporary folder; if no
        browser can be opened, a warning names it.
        """
        if in_notebook():
            from IPython.display import HTML, display

            display(HTML(self._html(min_score)))
            return
        page = Path(tempfile.mkdtemp(prefix="afsd-")) / "detections.html"
        video = self._report(with_frames=True)
        write_page(page, [video], title=TITLE, min_score=min_score, labels=self._labels)
        if not webbrowser.open(page.as_uri()):
            log.warning("no browser can be opened here; open %s", page)

    def save(
        self,
        folder: str | os.PathLike[str],
        formats: str | Sequence[str] = FORMATS,
        min_score: float = MIN_SCORE,
    ) -> list[Path]:
        """Writes one file of each format into a folder, NAME.json, NAME.html, …

        Args:
          folder: created if missing; files of these names in it are replaced.
          formats: some of json, csv, vtt, srt, html, png; all by default. The JSON file contains
            all detections.
          min_score: least score of the detections in the other files.

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
        paths = [Path(folder) / f"{file_name(self.video.name)}.{name}" for name in names]
        files.check_apart(paths, [self.video.path])
        selection = Selection(min_score, classes=self.video.class_names)
        for path, name in zip(paths, names, strict=True):
            with files.naming_failure(path):
                if name == "json":
                    notes = DetectionNotes({self.video.name: self.video.duration_s})
                    data = notes.external_data()
                    activitynet_json.write_predictions(
                        path, {self.video.name: self}, external_data=data
                    )
                else:
                    write_shown(path, self._report(with_frames=name == "html"), selection)
        return paths

    def clip(
        self,
        index: int,
        path: str | os.PathLike[str] | None = None,
        margin_s: float = 0.0,
    ) -> Path:
        """Writes one action as a short video; a notebook shows it below the cell, too.

        Args:
          index: index of the detection in this list.
          path: mp4 file to write; default: a new one in a temporary folder. It contains H.264 in
            the video's own size, and no sound.
          margin_s: seconds to show before and after the action.

        Returns:
          The file's path.

        Raises:
          IndexError: there is no such detection.
          UserError: the video no longer exists, or the file cannot be written.
        """
        detection, footage = self[index], self.video.footage
        if footage is None:
            raise UserError("there are no pictures to cut a clip from: the video was given as flow")
        if path is None:
            path = Path(tempfile.mkdtemp(prefix="afsd-")) / f"clip_{index}.mp4"
        files.check_apart([path], [self.video.path])
        start_s = max(detection.start_s - margin_s, 0.0)
        write_clip(path, footage.between(start_s, detection.end_s + margin_s))
        if in_notebook():
            from IPython.display import Video, display

            display(Video(str(path), embed=True))
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


def in_notebook() -> bool:
    """Returns whether this code runs in a notebook (Jupyter, Colab, …)."""
    interactive = sys.modules.get("IPython")  # a notebook has imported it
    shell = interactive.get_ipython() if interactive else None
    return hasattr(shell, "kernel")
