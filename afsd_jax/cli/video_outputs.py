"""The files to which a command writes the detections of all its videos."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.cli.printing import print_table, print_written
from afsd_jax.errors import UserError
from afsd_jax.io.names import nearest
from afsd_jax.io.video_names import file_name
from afsd_jax.report.page import VideoReport
from afsd_jax.results.formats import FORMATS
from afsd_jax.results.writers import TITLE, Selection, write_results


class VideoOutputs(NamedTuple):
    """The outputs that a command line names; None: not written.

    output: file whose suffix is its format.
    report: HTML page.
    subtitles: folder for one .srt per video.
    """

    output: Path | None
    report: Path | None
    subtitles: Path | None

    @property
    def show_frames(self) -> bool:
        """Whether a page shows frames of the videos."""
        return bool(self.report or (self.output and self.output.suffix == ".html"))

    def files(self, names: Sequence[str]) -> list[Path]:
        """Returns every file that is written for videos of these names."""
        files = [path for path in (self.output, self.report) if path]
        if self.subtitles:
            files += [self.subtitles / f"{file_name(name)}.srt" for name in names]
        return files

    def check_format(self, num_videos: int, remedy: str) -> None:
        """Raises UserError if no such file is written, or if it holds one video only.

        Args:
          num_videos: number of videos.
          remedy: what to give instead of a file that holds one video.
        """
        if self.output is None:
            return
        if self.output.suffix.removeprefix(".") not in FORMATS:
            endings = ", ".join(f".{name}" for name in FORMATS)
            near = nearest(self.output.suffix, [f".{name}" for name in FORMATS])
            raise UserError(f"--output {self.output}: the name must end in one of {endings}{near}")
        if num_videos > 1 and self.output.suffix not in (".json", ".html"):
            raise UserError(f"--output {self.output}: holds one video, not {num_videos}; {remedy}")

    def write(
        self,
        videos: Sequence[VideoReport],
        selection: Selection,
        failed: Sequence[str],
        title: str = TITLE,
        note: str = "",
    ) -> int:
        """Writes the detections, and prints what was written and found; without files, a table.

        Args:
          videos: the videos with their detections.
          selection: detections that people are shown.
          failed: why other videos could not be read.
          title: title of a page.
          note: what a reader of a page should know.

        Returns:
          The exit code: 1 if videos failed, else 0.

        Raises:
          UserError: a file cannot be written.
        """
        write_results(videos, *self, selection, title, note)
        if not any(self):
            print_table(videos, selection)
        files = self.files([video.track.name for video in videos])
        return print_written(files, videos, selection, failed)
