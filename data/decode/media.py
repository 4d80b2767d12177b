"""Finding the videos, arrays and flow images in a folder by their names."""

import os
from pathlib import Path
from typing import NamedTuple

from afsd_jax.errors import UserError
from afsd_jax.io.names import composed, nearest_path, video_name
from afsd_jax.io.video_names import video_names

# Suffixes of the formats that `container` lets FFmpeg open: those that it gives its demuxers,
# without sounds and pictures, and those of files that it knows by their content.
VIDEO_SUFFIXES = (
    *(".264", ".265", ".3g2", ".3gp", ".3gp2", ".3gpp", ".amv", ".asf", ".avc", ".avi", ".dif"),
    *(".divx", ".dv", ".dvr-ms", ".evo", ".f4v", ".flv", ".gif", ".h264", ".h265", ".h26l"),
    *(".hevc", ".insv", ".ismv", ".ivf", ".m1v", ".m2p", ".m2t", ".m2ts", ".m2v", ".m4v", ".mj2"),
    *(".mk3d", ".mkv", ".mod", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mqv", ".mts"),
    *(".mxf", ".nut", ".obu", ".ogm", ".ogv", ".psp", ".qt", ".rm", ".rmvb", ".tod", ".tp"),
    *(".trp", ".ts", ".vob", ".vro", ".webm", ".wmv", ".wtv", ".xvid", ".y4m"),
)
FACTS = "features.json"  # what the features of a folder are; see `feature_rows`
BROWSER_COPY = ".browser.mp4"  # behind the name of a video: a copy that browsers can play


class Sources(NamedTuple):
    """The media files in a folder and in the folders below it.

    Attributes:
      paths: videos, arrays and folders of flow images, by the name of the video; see
        `io.video_names`.
      unreadable: the reason, by path, for videos and folders that are there but cannot be opened.
      passed_over: other files, and links to folders, which are not searched.
    """

    paths: dict[str, Path]
    unreadable: dict[Path, str]
    passed_over: list[Path]


def is_video(path: Path) -> bool:
    """Returns whether a file has the suffix of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def find_sources(folder: Path, stream: str) -> Sources:
    """Finds the files from which a stream can be prepared, in a folder and all folders below it.

    These are videos and `.npy` arrays; for flow, also folders of flow_x_*.jpg; for features only
    arrays. Two kinds of
    videos are passed over beside the video that they show: a GIF of its name, taken for a preview,
    and a copy for browsers.
    """
    paths, unreadable = visible_paths(folder)
    found, passed_over = [], []
    for path in paths:
        if os.path.isdir(path):  # unlike Path.is_dir, without an error in a closed folder
            if stream == "flow" and next(path.glob("flow_x_*.jpg"), None) is not None:
                found.append(path)
            elif path.is_symlink():
                passed_over.append(path)
        elif _is_browser_copy(path):
            passed_over.append(path)
        elif path.suffix != ".npy" and (stream == "features" or not is_video(path)):
            is_facts = stream == "features" and path.name == FACTS
            if not path.name.startswith(("flow_x_", "flow_y_")) and not is_facts:
                passed_over.append(path)
        elif reason := why_unreadable(path):
            unreadable[path] = reason
        else:
            found.append(path)
    shown = {source_stem(path) for path in found if not _is_gif(path)}
    previews = {path for path in found if _is_gif(path) and source_stem(path) in shown}
    named = video_names([path for path in found if path not in previews], source_stem)
    return Sources(named, unreadable, sorted([*passed_over, *previews]))


def source_stem(path: Path) -> str:
    """Returns the name of a source without suffix, which a folder of images does not have."""
    return composed(path.name) if os.path.isdir(path) else video_name(path)


def _is_gif(path: Path) -> bool:
    return path.suffix.lower() == ".gif" and not os.path.isdir(path)


def _is_browser_copy(path: Path) -> bool:
    original = path.name.removesuffix(BROWSER_COPY)
    return original != path.name and os.path.isfile(path.with_name(original))


def why_unreadable(path: Path) -> str | None:
    """Returns why a path is no file that can be opened, or None."""
    try:
        path.stat()
    except FileNotFoundError:
        return (
            "is a link to nothing"
            if path.is_symlink()
            else f"no such file or folder{nearest_path(path)}"
        )
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if path.is_file() else "is a pipe, socket or device, not a file"


def visible_paths(folder: Path) -> tuple[list[Path], dict[Path, str]]:
    """Returns all paths in a folder and the folders below it, sorted, without hidden ones.

    Links to folders are not followed, so that a loop of links cannot be endless.

    Returns:
      The paths, and for each folder that cannot be opened the reason.
    """
    paths: list[Path] = []
    unreadable: dict[Path, str] = {}

    def keep(error: OSError) -> None:
        unreadable[Path(error.filename)] = f"this folder cannot be read ({error.strerror})"

    for parent, folders, names in os.walk(folder, onerror=keep):
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = [name for name in names if not name.startswith(".")]
        paths += [Path(parent, name) for name in (*folders, *shown)]
    return sorted(paths), unreadable


def describe_passed_over(folder: Path, paths: list[Path]) -> str:
    """Returns a line about what a search of a folder passed over: how many, and an example."""
    example, count = paths[0], len(paths)
    files = "1 file is" if count == 1 else f"{count} files are"
    if os.path.isdir(example):
        why = "is a link to a folder"
    elif _is_browser_copy(example):
        why = "is a copy of a video, for browsers"
    else:
        why = "is a preview of a video" if _is_gif(example) else "has no suffix of a video"
    return f"{folder}: {files} passed over, such as {example.relative_to(folder)}, which {why}"


def single_file(folder: Path, suffixes: tuple[str, ...]) -> Path:
    """Returns the only file of a folder with one of these suffixes.

    Raises:
      UserError: there is none, or there are several.
    """
    paths = [p for p in sorted(folder.glob("*")) if p.suffix.lower() in suffixes if not p.is_dir()]
    if len(paths) != 1:
        kinds = " or ".join(suffixes)
        raise UserError(
            f"{folder}: has {len(paths) or 'no'} {kinds} files; name the one with the annotations"
        )
    return paths[0]
