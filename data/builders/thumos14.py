"""TFDS builder of THUMOS14."""

from collections.abc import Mapping
from pathlib import Path

from afsd_jax.configs.thumos14 import CLASSES
from afsd_jax.data import annotations
from afsd_jax.data.builders import citations
from afsd_jax.data.builders.base import VideoBuilder
from afsd_jax.data.decode.sources import Timeline
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo

# Training uses the validation videos: the official training videos are trimmed.
_SPLITS = {"val": "train", "test": "test"}
_AMBIGUOUS = "Ambiguous"


class Thumos14(VideoBuilder):
    """THUMOS14: 20 classes of sports; the split train holds the validation videos.

    Annotations are either the reference implementation's files, {val,test}_Annotation.csv or
    {val,test}_Annotation_ours.csv, with {val,test}_video_info.csv if frames come from arrays or
    flow images; or the official text files, one per class, NAME_val.txt and NAME_test.txt.
    """

    name = "thumos14"
    COUNT_FRAMES = True
    HOMEPAGE = citations.THUMOS14_HOMEPAGE
    CITATION = citations.THUMOS14 + citations.AFSD
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    The folder holds the validation and the test videos and their temporal annotations, from
    https://www.crcv.ucf.edu/THUMOS14/download.html.
    """

    def read_annotations(self) -> annotations.Annotations:
        """Reads the files in the annotations folder; Ambiguous actions are left out."""
        videos: annotations.Annotations = {}
        for subset, split in _SPLITS.items():
            for name, video in _read_subset(self._folder, subset, split).items():
                if name in videos:
                    raise UserError(f"{video.place}: {name!r} is also in {videos[name].place}")
                videos[name] = video
        if not videos:
            raise UserError(
                f"{self._folder}: has neither val_Annotation.csv nor files like "
                "BaseballPitch_val.txt; name the folder of the annotations"
            )
        videos = {
            name: annotations.without_empty_actions(name, video) for name, video in videos.items()
        }
        annotations.check_order(videos)
        return videos

    def class_names(self, videos: annotations.Annotations) -> list[str]:
        """Returns the 20 classes in alphabetical order, as in the reference implementation."""
        if self.options.classes:
            return super().class_names(videos)
        return annotations.class_names(videos, CLASSES)

    def timelines(
        self, videos: annotations.Annotations, paths: Mapping[str, Path]
    ) -> dict[str, Timeline]:
        """Reads {val,test}_video_info.csv, which state how the videos were sampled."""
        known: dict[str, Timeline] = {}
        for subset in _SPLITS:
            for path in _find(self._folder, f"{subset}_video_info.csv"):
                for place, row in annotations.read_rows(
                    path, ("video", "fps", "sample_fps", "count", "sample_count")
                ):
                    rate, fps, count, sampled = (
                        annotations.cell_number(row, column, place)
                        for column in ("fps", "sample_fps", "count", "sample_count")
                    )
                    if fps != self._fps:
                        raise UserError(
                            f"{place}: sampled at {fps:g} frames per second, but "
                            f"{self._fps:g} are expected; rates must not be mixed"
                        )
                    if min(rate, count, sampled) <= 0:
                        raise UserError(f"{place}: rates and counts must be positive")
                    known[row["video"]] = Timeline(fps, int(sampled), count / rate, int(count))
        for name in paths:
            if name not in known:
                raise UserError(
                    f"{paths[name]}: is not in val_video_info.csv or test_video_info.csv of "
                    f"{self._folder}, which state how it was sampled"
                )
        return known

    @property
    def _folder(self) -> Path:
        return self.options.annotations or self.options.source


def _read_subset(folder: Path, subset: str, split: str) -> annotations.Annotations:
    """Reads the annotations of one subset; there are none if it has no files."""
    for name in (f"{subset}_Annotation.csv", f"{subset}_Annotation_ours.csv"):
        if path := next(iter(_find(folder, name)), None):
            return _grouped(_csv_actions(path), split)
    return _grouped(_text_actions(_find(folder, f"*_{subset}.txt"), subset), split)


def _find(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


def _csv_actions(path: Path) -> list[tuple[str, Action]]:
    """Reads (video, action) from a file of the reference implementation."""
    found = []
    columns = ("video", "type", "start", "end", "startFrame", "endFrame")
    for place, row in annotations.read_rows(path, columns):
        start_s, end_s, start, end = (annotations.cell_number(row, c, place) for c in columns[2:])
        found.append((row["video"], Action(row["type"], start_s, end_s, (start, end), place)))
    return found


def _text_actions(paths: list[Path], subset: str) -> list[tuple[str, Action]]:
    """Reads (video, action) from the official files, with lines of: video start end."""
    found = []
    for path in paths:
        label = path.name.removesuffix(f"_{subset}.txt")
        for row, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if not line.strip():
                continue
            place = f"{path}, line {row}"
            cells = dict(zip(("video", "start", "end"), line.split(), strict=False))
            if len(line.split()) != 3:
                raise UserError(f"{place}: must be a video, a start and an end in seconds")
            start_s, end_s = (annotations.cell_number(cells, c, place) for c in ("start", "end"))
            found.append((cells["video"], Action(label, start_s, end_s, None, place)))
    return found


def _grouped(actions: list[tuple[str, Action]], split: str) -> annotations.Annotations:
    """Groups actions by video, without the ambiguous ones."""
    videos: dict[str, list[Action]] = {}
    for name, action in actions:
        if action.label != _AMBIGUOUS:
            videos.setdefault(name, []).append(action)
    return {
        name: AnnotatedVideo(split, None, tuple(found), found[0].place)
        for name, found in videos.items()
    }
