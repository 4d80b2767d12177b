"""Finding the videos, arrays and flow images in a folder by their names."""

from pathlib import Path

from afsd_jax.errors import UserError

VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".divx", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
)


def is_video(path: Path) -> bool:
    """Returns whether a file has the suffix of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def find_sources(folder: Path, stream: str) -> dict[str, Path]:
    """Finds the files from which a stream can be prepared, in a folder and all folders below it.

    These are videos and `.npy` arrays and, for flow, also folders of flow_x_*.jpg.

    Returns:
      Paths by name without suffix.

    Raises:
      UserError: two of them have the same name.
    """
    found: dict[str, Path] = {}
    for path in visible_paths(folder):
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


def visible_paths(folder: Path) -> list[Path]:
    """Returns all paths in a folder and the folders below it, sorted, without hidden ones."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def single_file(folder: Path, suffixes: tuple[str, ...]) -> Path:
    """Returns the only file of a folder with one of these suffixes.

    Raises:
      UserError: there is none, or there are several.
    """
    paths = [p for p in sorted(folder.glob("*")) if p.suffix.lower() in suffixes and p.is_file()]
    if len(paths) != 1:
        kinds = " or ".join(suffixes)
        raise UserError(
            f"{folder}: has {len(paths) or 'no'} {kinds} files; name the one with the annotations"
        )
    return paths[0]
