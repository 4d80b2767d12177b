"""The formats of annotation files: one table of how each is recognised, read and written."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from afsd_jax.data.annotations.boris import Export, find_export
from afsd_jax.data.annotations.boris_project import project_text, read_project
from afsd_jax.data.annotations.collector import Annotations
from afsd_jax.data.annotations.detector_json import actionformer_text, opentad_text
from afsd_jax.data.annotations.elan import elan_text, read_elan
from afsd_jax.data.annotations.fiftyone import fiftyone_text, is_fiftyone, read_fiftyone
from afsd_jax.data.annotations.label_studio import label_studio_text, read_label_studio
from afsd_jax.data.annotations.marks import check_marks
from afsd_jax.data.annotations.own_table import own_table_text, read_own_table
from afsd_jax.data.annotations.table_rows import read_table
from afsd_jax.data.annotations.via import read_via, via_text
from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import ground_truth_text, parse_ground_truth
from afsd_jax.io.files import read_json, write_text
from afsd_jax.types import MarkedVideo

Reader = Callable[[Path, Any], Annotations | Export]
Writer = Callable[[Sequence[MarkedVideo], Path], str]


class Format(NamedTuple):
    """One kind of annotation file.

    Attributes:
      suffix: suffix of the files that are written.
      recognises: whether the content of a file with this suffix is of this kind.
      read: reads a file, given its path and content.
      write: returns the text of a file, given its videos and path.
      one_video: whether a file holds one video.
      needs_file: whether the frame rate of the video file must be known to write.
    """

    suffix: str
    recognises: Callable[[Any], bool]
    read: Reader
    write: Writer
    one_video: bool = False
    needs_file: bool = False


def _read_table(path: Path, lines: Any) -> Annotations | Export:
    return find_export(path, lines) or read_own_table(path, lines)


def _always(_: Any) -> bool:
    return True


def _never(_: Any) -> bool:
    return False


FORMATS = {
    "csv": Format(".csv", _always, _read_table, own_table_text),
    "boris": Format(".boris", _always, read_project, project_text, needs_file=True),
    "elan": Format(".eaf", _always, lambda path, _: read_elan(path), elan_text, one_video=True),
    "label-studio": Format(
        ".json",
        lambda content: isinstance(content, list),
        read_label_studio,
        label_studio_text,
        needs_file=True,
    ),
    "via": Format(
        ".json",
        lambda content: (
            isinstance(content, dict) and {"metadata", "file", "view"} <= content.keys()
        ),
        read_via,
        via_text,
    ),
    "fiftyone": Format(".json", is_fiftyone, read_fiftyone, fiftyone_text),
    "activitynet": Format(
        ".json",
        lambda content: not isinstance(content, dict) or "database" in content,
        lambda path, content: parse_ground_truth(content, path),
        lambda videos, _: ground_truth_text(videos),
    ),
}
# Ground truth of these is read as ActivityNet's.
_read_database = FORMATS["activitynet"].read
FORMATS |= {
    "actionformer": Format(".json", _never, _read_database, actionformer_text, needs_file=True),
    "opentad": Format(".json", _never, _read_database, opentad_text, needs_file=True),
}


def read_file(path: Path, known: str) -> Annotations | Export:
    """Reads an annotation file, by the first format that has its suffix and recognises it.

    Args:
      path: the file. One whose suffix no format has is read as JSON.
      known: the known formats, for messages.

    Raises:
      UserError: the file cannot be read, or is malformed.
    """
    suffix, content = _loaded(path, known)
    readers = [kind for kind in FORMATS.values() if kind.suffix == suffix]
    reader = next((kind for kind in readers if kind.recognises(content)), None)
    if reader is None:
        raise UserError(f'{path}: "database" is missing; annotations are {known}')
    return reader.read(path, content)


def _loaded(path: Path, known: str) -> tuple[str, Any]:
    """Returns a suffix that formats have, and the content of a file: its lines, or JSON."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return ".csv", read_table(path)
    if suffix == ".eaf":
        return suffix, None
    if suffix in (".json", ".boris"):
        return suffix, read_json(path)
    try:
        return ".json", read_json(path)
    except UserError as error:
        raise UserError(f"{error}; annotations are {known}") from error


def name_in_folder(name: str, stem: str) -> str:
    """Returns the name of a format's file of many videos in a folder with other formats' files.

    Example:
      >>> name_in_folder("boris", "labels"), name_in_folder("via", "labels")
      ('labels.boris', 'labels-via.json')
    """
    suffix = FORMATS[name].suffix
    is_ours = suffix != ".json" or name == "activitynet"
    return f"{stem}{suffix}" if is_ours else f"{stem}-{name}{suffix}"


def output_files(
    name: str, videos: Sequence[MarkedVideo], output: Path, stem: str = "annotations"
) -> dict[Path, Sequence[MarkedVideo]]:
    """Returns the files of a format that are written, each with its videos.

    Args:
      name: one of `FORMATS`.
      videos: the videos.
      output: the file to write, or a folder, which receives one file (see `name_in_folder`) or, if
        the format holds one video, a file for each.
      stem: name of that one file, without its ending.

    Raises:
      UserError: the file has another suffix, or holds one video and there are several.
    """
    suffix, one_video = FORMATS[name].suffix, FORMATS[name].one_video
    named = output.suffix.lower() == suffix and not output.is_dir()
    if one_video and not named:
        return {output / f"{video.name}{suffix}": [video] for video in videos}
    if one_video and len(videos) != 1:
        raise UserError(f"{output}: holds one video, not {len(videos)}; give a folder")
    if output.is_dir() or not output.suffix:
        return {output / name_in_folder(name, stem): videos}
    if not named:
        raise UserError(f"{output}: the name must end in {suffix}, or be that of a folder")
    return {output: videos}


def write_annotations(
    name: str, videos: Sequence[MarkedVideo], output: Path, stem: str = "annotations"
) -> dict[Path, Sequence[MarkedVideo]]:
    """Writes annotations or detections as files for another tool, each completely or not at all.

    Args:
      name: one of `FORMATS`.
      videos: the videos.
      output, stem: see `output_files`.

    Returns:
      The files, with their videos.

    Raises:
      UserError: a name or a label cannot stand in a file, the format needs something about a
        video that is not known, or a file cannot be written.
    """
    check_marks(videos)
    files = output_files(name, videos, output, stem)
    texts = {path: FORMATS[name].write(members, path) for path, members in files.items()}
    for path, text in texts.items():
        write_text(path, text)
    return files
