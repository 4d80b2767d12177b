"""Reads annotations and detections that a command line names, and the files of their videos."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.cli.printing import counted, print_list, print_text
from afsd_jax.data.annotations import check_order, match_paths, read_annotations
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import predictions_of
from afsd_jax.io.detection_notes import DetectionNotes, notes_of
from afsd_jax.io.files import read_bytes, read_json
from afsd_jax.io.names import first_names, nearest, with_composed_names
from afsd_jax.results.writers import Selection
from afsd_jax.types import AnnotatedVideo, Detection, MarkedVideo

_OF_ONE_VIDEO = ",".join(Detection._fields).encode()  # how the table of `report.table` begins
_FOR_PEOPLE = {  # what files of these suffixes are
    **{".html": "a page", ".png": "a picture", ".pdf": "a document"},
    **{".srt": "subtitles", ".vtt": "subtitles"},
}


class Marked(NamedTuple):
    """The videos of one input.

    Attributes:
      videos: the videos, in the order of the input.
      detected: whether their marks are detections.
    """

    videos: list[MarkedVideo]
    detected: bool


def read_marked(path: Path, selection: Selection, measured: bool | None = False) -> Marked:
    """Reads annotations in any format, or detections as `afsd detect` writes them (JSON).

    Args:
      path: a file, or a folder of annotation files.
      selection: which detections are read, and which classes.
      measured: whether least scores that the file states replace those of `selection`; None: if it
        states any.

    Raises:
      UserError: the input cannot be read, states no least scores, or an action ends before it
        starts.
    """
    _check_kind(path)
    content = read_json(path) if path.suffix.lower() == ".json" and path.is_file() else None
    if isinstance(content, dict) and "results" in content and "database" not in content:
        notes = notes_of(content, path)
        if measured is not False:
            selection = _with_measured(selection, notes, path, required=bool(measured))
        found = with_composed_names(predictions_of(content, path), str(path))
        return Marked(
            [
                _detected(name, items, selection, notes.durations_s.get(name))
                for name, items in found.items()
            ],
            True,
        )
    annotated = read_annotations(path)
    check_order(annotated)
    print_list("notes", [note for video in annotated.values() for note in video.notes])
    labels = selection.labels
    return Marked(
        [
            MarkedVideo(
                name,
                [a for a in video.actions if labels is None or a.label in labels],
                subset=video.subset,
                duration_s=video.duration_s,
                file=video.file,
            )
            for name, video in annotated.items()
        ],
        False,
    )


def _check_kind(path: Path) -> None:
    """Raises UserError for what `afsd detect` writes for people, which no program reads."""
    if not path.is_file():
        return
    kind = _FOR_PEOPLE.get(path.suffix.lower())
    if path.suffix.lower() == ".csv" and read_bytes(path).startswith(_OF_ONE_VIDEO):
        kind = "a table of one video's detections, which does not name the video"
    if kind:
        raise UserError(
            f"{path}: is {kind}, for people; give the JSON file of the detections, written with "
            f"afsd detect --output {path.stem}.json"
        )


def _with_measured(
    selection: Selection, notes: DetectionNotes, path: Path, required: bool
) -> Selection:
    """Returns the selection with the least scores that a file states."""
    if notes.min_score is None:
        if required:
            raise UserError(
                f"{path}: states no least scores, which --min-score auto needs; measure them with "
                "afsd evaluate --calibrate, and detect again"
            )
        return selection
    least = ", ".join(f"{label} {value:.2f}" for label, value in list(notes.thresholds.items())[:5])
    others = "others " if least else ""
    print_text(
        f"note: {path}: least scores as they were measured: {least + ', ' if least else ''}"
        f"{others}{notes.min_score:.2f} (--min-score sets one)",
        file=sys.stderr,
    )
    return selection._replace(min_score=notes.min_score, thresholds=notes.thresholds)


def _detected(
    name: str,
    detections: Sequence[Detection],
    selection: Selection,
    duration_s: float | None = None,
) -> MarkedVideo:
    """Returns the chosen detections by their start; those without length are left out."""
    whole = [d._replace(start_s=max(d.start_s, 0.0)) for d in detections]
    whole = [d for d in whole if d.end_s > d.start_s]
    chosen = selection.reaching(selection.best(whole))
    marks = sorted(chosen, key=lambda d: (d.start_s, d.end_s))
    return MarkedVideo(name, marks, detected=True, duration_s=duration_s)


def read_all_marked(
    paths: Sequence[Path], selection: Selection, measured: bool | None = False
) -> list[MarkedVideo]:
    """Reads several inputs of different videos; see `read_marked`.

    Raises:
      UserError: an input cannot be read, two hold the same video, or no mark has a chosen class.
    """
    videos: dict[str, MarkedVideo] = {}
    places: dict[str, Path] = {}
    for path in paths:
        for video in read_marked(path, selection, measured).videos:
            if video.name in videos:
                raise UserError(
                    f"{path}: video {video.name!r} is also in {places[video.name]}; give one of "
                    "the two"
                )
            videos[video.name], places[video.name] = video, path
    check_labels(selection.labels, list(videos.values()))
    return list(videos.values())


def check_labels(labels: Sequence[str] | None, videos: Sequence[MarkedVideo]) -> None:
    """Raises UserError for a chosen class that no video has."""
    there = {mark.label for video in videos for mark in video.marks}
    for label in labels or ():
        if label not in there:
            raise UserError(
                f"--labels {label}: no action of this class (with the least score)"
                f"{nearest(label, there)}"
            )


def with_files(videos: Sequence[MarkedVideo], paths: Sequence[Path]) -> list[MarkedVideo]:
    """Returns the videos with their files, lengths and frame rates.

    Args:
      videos: videos whose length may be unknown; one that is known is kept.
      paths: video files and folders of them; none: nothing is read.

    Raises:
      UserError: a video has no file, or its file cannot be read.
    """
    if not paths:
        return list(videos)
    from afsd_jax.cli.video_files import video_files

    files = video_files(paths).paths
    stated = {v.name: AnnotatedVideo(v.subset, None, (), v.name, file=v.file) for v in videos}
    names = match_paths(stated, files)
    missing = [video.name for video in videos if video.name not in names]
    if missing:
        near = nearest(missing[0], files)
        raise UserError(
            f"--videos: there is no video file of {first_names(missing, 3)}{near}; several files "
            "and folders may be given"
        )
    named = [video._replace(name=names[video.name]) for video in videos]
    return [with_file(video, files[video.name]) for video in named]


def with_file(video: MarkedVideo, path: Path) -> MarkedVideo:
    """Returns a video with its file, and the length and frame rate of that.

    Raises:
      UserError: the file cannot be read.
    """
    reader = VideoReader(path, fps=0)
    return video._replace(path=path, fps=reader.fps, duration_s=reader.duration_s)


def read_sets(
    paths: Sequence[Path],
    selection: Selection,
    files: Sequence[Path],
    measured: bool | None = False,
) -> list[list[MarkedVideo]]:
    """Reads inputs that may hold the same videos; a video has one length in all of them.

    The length is that of the file, or the one that an input states, or else the end of the last
    action; a note says for how many videos.

    Args:
      paths: the inputs.
      selection: which detections are read, and which classes.
      files: video files and folders of them; none: nothing is read.
      measured: see `read_marked`.

    Raises:
      UserError: an input cannot be read, a video has no file, or no mark has a chosen class.
    """
    sets = [with_files(read_marked(path, selection, measured).videos, files) for path in paths]
    videos = [video for members in sets for video in members]
    check_labels(selection.labels, videos)
    known = {v.name: v.duration_s for v in videos if v.duration_s is not None}
    ends: dict[str, float] = {}
    for video in videos:
        end_s = max((mark.end_s for mark in video.marks), default=0.0)
        ends[video.name] = max(ends.get(video.name, 0.0), end_s)
    if unknown := ends.keys() - known.keys():
        print_text(
            f"note: {counted(len(unknown), 'video')} of unknown length: each ends with its last "
            "action here; --videos FOLDER reads the lengths",
            file=sys.stderr,
        )
    lengths = ends | known
    return [[v._replace(duration_s=lengths[v.name]) for v in members] for members in sets]
