"""Finding the videos, arrays and flow images of a folder by name."""

from pathlib import Path

from afsd_jax.errors import UserError

VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".divx", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
)


def is_video(path: Path) -> bool:
    """Returns whether a file's name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def find_sources(folder: Path, stream: str) -> dict[str, Path]:
    """Finds what a stream can be prepared from, in a folder and all folders below it.

    Videos and `.npy` arrays, and for flow also folders of flow_x_*.jpg. Hidden files are left out.

    Returns:
      Paths by name without suffix.

    Raises:
      UserError: two of them have the same name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_dir():
            if stream != "flow" or next(path.glob("flow_x_*.jpg"), None) is None:
                continue
            name = path.name
        elif is_video(path) or path.suffix == ".npy":
            name = path.stem
        else:
            continue
        if name in found:
            raise UserError(f"{path}: duplicate video {name!r}; {found[name]} has the same name")
        found[name] = path
    return found


def single_file(folder: Path, suffixes: tuple[str, ...]) -> Path:
    """Returns the only file of a folder with one of these suffixes.

    Raises:
      UserError: there is none, or several.
    """
    paths = [p for p in sorted(folder.glob("*")) if p.suffix.lower() in suffixes and p.is_file()]
    if len(paths) != 1:
        kinds = " or ".join(suffixes)
        raise UserError(
            f"{folder}: has {len(paths) or 'no'} {kinds} files; state the one with the annotations "
            "(--annotations)"
        )
    return paths[0]
