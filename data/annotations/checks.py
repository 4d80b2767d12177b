"""Checks of annotations in every format: names, classes, order of times."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from afsd_jax.data.decode.media import is_video
from afsd_jax.errors import UserError
from afsd_jax.io.files import read_text
from afsd_jax.types import Action, AnnotatedVideo


def class_names(
    videos: Mapping[str, AnnotatedVideo], known: Iterable[str] | None = None
) -> list[str]:
    """Returns the classes, sorted, after checking every label.

    Args:
      videos: annotations.
      known: all allowed labels, in their order; None allows every label.

    Raises:
      UserError: a label is unknown, empty or not a safe file name.
    """
    names = list(known) if known is not None else []
    seen = set(names)
    for video in videos.values():
        for action in video.actions:
            check_name(action.label, "label", action.place)
            if action.label not in seen:
                if known is not None:
                    raise UserError(
                        f"{action.place}: unknown label {action.label!r}; the classes are "
                        f"{', '.join(names)}"
                    )
                seen.add(action.label)
    return names if known is not None else sorted(seen)


def read_class_list(path: Path) -> list[str]:
    """Reads a text file with one label per line."""
    lines = read_text(path).removeprefix("\ufeff").splitlines()
    return [line.strip() for line in lines if line.strip()]


def check_order(videos: Mapping[str, AnnotatedVideo]) -> None:
    """Raises UserError for an action that ends before it starts or starts before the video."""
    for video in videos.values():
        for action in video.actions:
            if action.end_s <= action.start_s:
                raise ends_too_early(action)
            if action.start_s < 0:
                raise UserError(f"{action.place}: starts at {action.start_s:g} s, before 0")


def ends_too_early(action: Action) -> UserError:
    """Returns the error for an action that ends before its start."""
    return UserError(
        f"{action.place}: ends at {action.end_s:g} s, not after its start at {action.start_s:g} s"
    )


def check_names(videos: Mapping[str, AnnotatedVideo]) -> None:
    """Raises UserError for a video whose name is not a safe file name."""
    for name, video in videos.items():
        check_name(name, "video name", video.place)


def check_name(name: str, what: str, place: str) -> None:
    """Raises UserError for a name that is empty or not a safe file name."""
    if not name:
        raise UserError(f"{place}: the {what} is empty")
    if "/" in name or "\\" in name or name in (".", "..") or not name.isprintable():
        raise UserError(
            f"{place}: the {what} {name!r} must not contain slashes or control characters, or "
            "be '.' or '..'"
        )


def without_suffix(name: str) -> str:
    """Returns a name without the suffix of a video; other suffixes and numbers are kept."""
    path = Path(name)
    return path.stem if is_video(path) and not path.suffix[1:].isdecimal() else name
